/**
 * The C prototype's own busy round trip, measured with its `oping -F` in private namespaces.
 * `OURO_PROTOTYPE` is its installation prefix.
 */

/** Packets of the measurement. */
const PACKETS = 100_000;

/** Mean round trip of `oping -F`, µs; undefined without a prototype or where it can't run. */
export async function prototypeBusyRoundTripUs(): Promise<number | undefined> {
  const prefix = Deno.env.get("OURO_PROTOTYPE");
  if (!prefix) return undefined;
  const steps = `
    for d in /dev/shm /var/run/ouroboros /tmp/ouroboros; do mkdir -p $d; mount -t tmpfs none $d; done
    export LD_LIBRARY_PATH="$P/lib" PATH="$P/bin:$P/sbin:$PATH"
    irmd --stdout > /tmp/ouroboros/irmd.log 2>&1 & I=$!
    for k in $(seq 50); do irm name create x > /dev/null 2>&1 && break; sleep 0.1; done
    irm bind prog oping name x > /dev/null
    oping -l --busy > /tmp/ouroboros/server.log 2>&1 & S=$!
    sleep 1 # In busy mode it says nothing when it is ready.
    timeout 60 oping -n x -c ${PACKETS} -F -Q
    kill $S 2> /dev/null; kill $I; wait`;
  try {
    const { stdout } = await new Deno.Command("unshare", {
      args: ["-m", "-n", "--ipc", "sh", "-c", steps],
      env: { P: prefix },
      stderr: "null",
    }).output();
    const found = new TextDecoder().decode(stdout).match(
      /min\/avg\/max\/mdev = [\d.]+\/([\d.]+)\//,
    );
    return found === null ? undefined : Number(found[1]);
  } catch {
    return undefined;
  }
}
