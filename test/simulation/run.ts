const { simulate } = await import("./simulate.ts");
const seeds = Number(process.argv[2] ?? 1), from = Number(process.argv[3] ?? 1);
for (let seed = from; seed < from + seeds; seed++) {
  const t = process.cpuUsage();
  const r = await simulate({ seed, ...(process.argv[4] ? { onLine: (l: string) => console.log(l) } : {}) });
  const u = process.cpuUsage(t);
  console.log(JSON.stringify({ ...r, begun: Object.fromEntries(r.begun), bitten: Object.fromEntries(r.bitten), cpu: (u.user + u.system) / 1e6 }));
}
