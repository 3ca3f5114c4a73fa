import { expect, test } from "vitest";
import { busiestConnection } from "./socket-table.ts";

const TABLE = `0      0          10.213.1.2:20371   10.213.2.2:44002
\t cubic wscale:7,7 rto:204 rtt:0.2/0.1 bytes_sent:1200 bytes_acked:1200 segs_out:30
0      17         10.213.1.2:20371   10.213.2.2:44010
\t cubic wscale:7,7 rto:204 rtt:0.2/0.1 bytes_sent:88112 bytes_acked:88095 segs_out:410
0      0          10.213.1.2:51442   10.213.2.2:20374
\t cubic wscale:7,7 rto:204 rtt:0.2/0.1 segs_out:2
`;

test("socket table: the connection that has sent most", () => {
  expect(busiestConnection(TABLE)).toEqual({ local: 20371, remote: 44010 });
});

test("socket table: a connection that has sent nothing counts as one", () => {
  expect(busiestConnection(TABLE.split("\n").slice(4).join("\n"))).toEqual({
    local: 51442,
    remote: 20374,
  });
});

test("socket table: none", () => {
  expect(busiestConnection("")).toBeUndefined();
});
