/** Which specs ask for the same. */

import { assertEquals } from "@std/assert";
import { QOS, QOS_WORDS, type QosSpec, sameQos } from "../../../lib/qos.ts";

Deno.test("sameQos: a copy asks for the same, another number of any field does not", () => {
  for (const word of QOS_WORDS) {
    const spec: QosSpec = { ...QOS[word] };
    assertEquals(sameQos(QOS[word], spec), true);
    assertEquals(QOS_WORDS.filter((w) => sameQos(QOS[w], spec)), [word]);
    for (const field of Object.keys(spec) as (keyof QosSpec)[]) {
      const other = {
        ...spec,
        [field]: field === "bandwidth" ? spec[field] ^ 1n : spec[field] ^ 1,
      };
      assertEquals(sameQos(other, spec), false, field);
    }
  }
});
