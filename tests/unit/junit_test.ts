/** What the test runner counts; that it counts at all is shown by its closing line. */

import { assertEquals } from "@std/assert";
import { countJunit } from "../junit.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="4" failures="1" errors="0" time="0.005">
  <testsuite name="a_test.ts" tests="4" disabled="1" errors="0" failures="1">
    <testcase name="a &gt; b" classname="../a_test.ts" time="0.000" line="1" col="6">
    </testcase>
    <testcase name="short" time="0"/>
    <testcase name="ig" time="0">
      <skipped/>
    </testcase>
    <testcase name="f" time="0">
      <failure message="&lt;testcase/&gt;">Error: &lt;skipped/&gt;</failure>
    </testcase>
  </testsuite>
</testsuites>`;

Deno.test("countJunit() counts passed, failed and skipped cases", () => {
  assertEquals(countJunit(REPORT), { passed: 2, failed: 1, skipped: 1 });
});

Deno.test("countJunit() of an empty report counts nothing", () => {
  assertEquals(countJunit(""), { passed: 0, failed: 0, skipped: 0 });
});
