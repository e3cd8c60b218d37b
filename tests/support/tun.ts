/** Whether tests can have TUN devices. */

/** Whether this user may make TUN devices here; tests are ignored otherwise. */
export function canMakeTun(): boolean {
  if (Deno.uid() !== 0) return false;
  try {
    Deno.openSync("/dev/net/tun", { read: true, write: true }).close();
    return true;
  } catch {
    return false;
  }
}
