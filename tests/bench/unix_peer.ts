/**
 * One end of a ping-pong over a UNIX socket (SOCK_SEQPACKET), with blocking `send` and `recv` of libc and no copies of
 * ours: the yardstick. Arguments: role, path, messages, bytes. The client prints one JSON line.
 */

const LIBC = Deno.dlopen("libc.so.6", {
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog);
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int accept(int fd, struct sockaddr *addr, socklen_t *len);
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t n, int flags);  n < 2^31
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // ssize_t recv(int fd, void *buf, size_t n, int flags);
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
}).symbols;

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const BATCH = 50;

const [role, path, countText, bytesText] = Deno.args as [string, string, string, string];
const count = Number(countText);
const message = new Uint8Array(Number(bytesText));
const into = new Uint8Array(2048);

/** struct sockaddr_un. */
function address(): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(path);
  const a = new Uint8Array(2 + text.length + 1);
  a[0] = AF_UNIX;
  a.set(text, 2);
  return a;
}

const fd = LIBC.socket(AF_UNIX, SOCK_SEQPACKET, 0);
const at = address();
if (role === "server") {
  if (LIBC.bind(fd, at, at.length) !== 0 || LIBC.listen(fd, 1) !== 0) throw new Error("bind");
  console.log("ready");
  const c = LIBC.accept(fd, null, null);
  for (let i = 0; i < count; i++) {
    if (LIBC.recv(c, into, into.length, 0) <= 0) throw new Error("recv");
    if (LIBC.send(c, message, message.length, 0) <= 0) throw new Error("send");
  }
} else {
  if (LIBC.connect(fd, at, at.length) !== 0) throw new Error("connect");
  const times: number[] = [];
  for (let i = 0; i < count / BATCH; i++) {
    const start = performance.now();
    for (let k = 0; k < BATCH; k++) {
      if (LIBC.send(fd, message, message.length, 0) <= 0) throw new Error("send");
      if (LIBC.recv(fd, into, into.length, 0) <= 0) throw new Error("recv");
    }
    times.push((performance.now() - start) * 1000 / BATCH);
  }
  const sorted = times.slice(times.length >> 2).sort((a, b) => a - b);
  console.log(JSON.stringify({
    median: sorted[sorted.length >> 1]!,
    best: sorted[Math.floor(sorted.length / 10)]!,
  }));
}
