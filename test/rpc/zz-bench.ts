import { fork } from "node:child_process";
import { openGrpcServer } from "/work/main/src/rpc/server.ts";
import { grpcConnector } from "/work/main/src/rpc/connector.ts";
import { produceService, fetchService } from "/work/main/src/rpc/methods.ts";
import * as v1 from "/work/main/src/rpc/generated/flotilla-v1.ts";
const role = process.argv[2];
if (role === "server") {
  const s = await openGrpcServer({ host: "127.0.0.1", port: 0, onDefect: console.error, services(r) {
    r.bidi(produceService.produce, (st) => { let n = 0; st.onMessage = (m) => { const b = m.batches[0]; if (b!) { n++; if (n % 8 === 0) st.send(v1.ProduceResponse.create({ acks: [v1.LaneAck.create({ firstNumber: b.number })] })); } }; st.onEnd = () => st.end(); });
    r.bidi(fetchService.fetch, (st) => { st.onMessage = (m) => { const size = m.creditBytes; const total = m.close[0] ?? 0; const one = v1.FetchResponse.create({ data: [v1.CursorBatches.create({ batches: [Buffer.alloc(size)] })] }); let k = 0; const pump = () => { while (k < total) { k++; if (!st.send(one)) return; } st.end(); }; st.onDrain = pump; pump(); }; });
  } });
  process.send!(s.port);
} else {
  const child = fork(process.argv[1]!, ["server"]);
  const port: number = await new Promise((r) => child.once("message", r as any));
  const c = grpcConnector().connect(`127.0.0.1:${port}`, "x");
  for (const size of [1024, 16384, 65536, 524288, 1048576, 65536, 524288]) {
    const total = Math.min(40000, Math.floor((1500 * 1048576) / size));
    const st = c.bidi(produceService.produce);
    const batch = Buffer.alloc(size, 1);
    let k = 0; const t = performance.now(); const cpu = process.cpuUsage();
    await new Promise<void>((res) => { st.onEnd = () => res(); const pump = () => { while (k < total) { k++; if (!st.send({ open: [], resume: [], batches: [{ lane: 1, number: k, batch }] })) return; } st.end(); }; st.onDrain = pump; pump(); });
    const dt = (performance.now() - t) / 1000; const u = process.cpuUsage(cpu);
    console.log("produce", size, (total * size / dt / 1e6).toFixed(0), "MB/s", (total / dt).toFixed(0), "msg/s cpu", ((u.user + u.system) / 1e6 / dt).toFixed(2));
    const f = c.bidi(fetchService.fetch); let got = 0; const t2 = performance.now();
    await new Promise<void>((res) => { f.onMessage = (m) => { got += m.data[0]!.batches[0]!.length; }; f.onEnd = () => res(); f.send(v1.FetchRequest.create({ creditBytes: size, close: [total] })); });
    const dt2 = (performance.now() - t2) / 1000;
    console.log("fetch  ", size, (got / dt2 / 1e6).toFixed(0), "MB/s");
  }
  c.close(); child.kill();
}
