// deno-lint-ignore-file no-console -- a program, which prints
/**
 * One end of a ping-pong over a UNIX socket (SOCK_SEQPACKET), with blocking `read` and `write` of libc and no copies of
 * ours: the yardstick. Arguments: role, path, messages, bytes. The client prints one JSON line.
 */

import { SeqListener, SeqSocket } from "../../lib/sys/socket.ts";
import { report, roundTrips } from "./figures.ts";

const [role, path, countText, bytesText] = Deno.args as [string, string, string, string];
const count = Number(countText);
const message = new Uint8Array(Number(bytesText));
const into = new Uint8Array(2048);

function must(n: number): void {
  if (n <= 0) throw new Error(`socket: ${n}`);
}

if (role === "server") {
  using listener = SeqListener.listen(path, 0o600, 1);
  console.log("ready");
  const client = Promise.withResolvers<SeqSocket>();
  const watch = listener.onConnection(client.resolve, client.reject);
  using socket = await client.promise;
  watch.close();
  for (let i = 0; i < count; i++) {
    must(socket.fd.read(into));
    must(socket.fd.write(message));
  }
} else {
  using socket = SeqSocket.connect(path);
  report(roundTrips(count, () => {
    must(socket.fd.write(message));
    must(socket.fd.read(into));
  }));
}
