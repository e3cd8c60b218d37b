/**
 * IRM_CREATE_NAME of a user: paths of security files only if that user can read them (spec 40
 * §18.21), by the identity that the kernel gave. How they are used later is in files_test.
 */

import { assert, assertEquals } from "@std/assert";
import type { Client } from "../../../irmd/client.ts";
import type { Daemon } from "../../../irmd/daemon.ts";
import { createName } from "../../../irmd/names.ts";
import type { Asker } from "../../../irmd/registry/mod.ts";
import { IrmCode, type NameInfo } from "../../../lib/irm/messages.ts";
import { KeptLog, SecDir } from "../../support/security_dir.ts";

/** As much of a daemon as creating a name needs. */
function daemon() {
  const created: string[] = [];
  const askers = new Map<string, Asker | undefined>();
  const d = {
    ownUid: 0,
    log: new KeptLog().logger,
    registry: {
      createName: (i: NameInfo, asker?: Asker) => {
        askers.set(i.name, asker);
        return created.push(i.name) > 0;
      },
    },
  } as unknown as Daemon;
  return { d, created, askers };
}

const by = (uid: number) => ({ cred: { pid: 1, uid, gid: uid }, gids: [uid] }) as unknown as Client;

Deno.test("createName() refuses a user's path to a key that only root can read", () => {
  using sec = new SecDir();
  Deno.chmodSync(sec.dir, 0o755);
  const secret = sec.write("server/other/key.pem", "x", 0o600);
  const open = sec.write("open.pem", "x", 0o644);
  const paths = { skey: "", scrt: "", ckey: "", ccrt: "" };
  const { d, created, askers } = daemon();
  for (const field of ["skey", "scrt", "ckey", "ccrt", "senc", "cenc"]) {
    const nameInfo = { name: field, polLb: 1, ...paths, [field]: secret } as NameInfo;
    const answer = createName(d, by(54321), { code: IrmCode.IRM_CREATE_NAME, nameInfo });
    assertEquals(answer?.msg.result, -1, field);
    assert(answer?.msg.error?.cause.includes("cannot be read by uid 54321"), field);
  }
  assertEquals(created, []);
  const nameInfo = { name: "good", polLb: 1, ...paths, scrt: open } as NameInfo;
  assertEquals(
    createName(d, by(54321), { code: IrmCode.IRM_CREATE_NAME, nameInfo })?.msg.result,
    0,
  );
  assertEquals(askers.get("good"), { uid: 54321, gids: [54321] });
  // Root may name what it likes, and the name is then root's.
  const roots = { ...nameInfo, skey: secret };
  assertEquals(
    createName(d, by(0), { code: IrmCode.IRM_CREATE_NAME, nameInfo: roots })?.msg.result,
    0,
  );
  assertEquals(askers.get("good"), undefined);
});
