import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { declarations, loadProtos } from "../../scripts/generate/proto-files.ts";
import * as methods from "../../src/rpc/methods.ts";

test("methods: there is exactly one constant per rpc, with its path and kind", () => {
  const expected = ["flotilla.v1", "flotilla.internal.v1"].flatMap((name) =>
    declarations(loadProtos().lookup(name) as protobuf.Namespace)
      .filter((item) => item instanceof protobuf.Service)
      .flatMap((service) =>
        service.methodsArray.map(
          (rpc) => `${service.fullName.slice(1)}/${rpc.name} ${kindOf(rpc)}`,
        ),
      ),
  );
  const services: Record<string, { path: string; kind: string }>[] = Object.values(methods);
  const actual = services.flatMap((service) =>
    Object.values(service).map(({ path, kind }) => `${path.slice(1)} ${kind}`),
  );
  expect(actual.sort()).toEqual(expected.sort());
});

function kindOf(rpc: protobuf.Method): string {
  if (rpc.requestStream === true) return "bidi";
  return rpc.responseStream === true ? "server-stream" : "unary";
}
