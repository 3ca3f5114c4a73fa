import { describe, expect, it } from "vitest";
import { openImageStore } from "../../src/log/image-store.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { GroupId, ReplicaId } from "../../src/model/ids.ts";
import type { GroupContext } from "../../src/replica/group-context.ts";
import { encodeImageRecord } from "../../src/replica/group-records.ts";
import { ImageInstaller, type InstallParts } from "../../src/replica/image-installer.ts";
import type { ImageTransfer } from "../../src/replica/ports.ts";
import { silentLogger } from "../support/silent-logger.ts";

const GROUP = 1 as GroupId;
const LEADER = 2 as ReplicaId;
const images = openImageStore(new MemoryDisk());

function transfer(index: number): ImageTransfer {
  const membership = { voters: [LEADER], learners: [] };
  const restart = { index: 1, offset: 0, prevTerm: 0 };
  const positions = { index, term: 1, nextOffset: index, appendTimeMs: 0 };
  const applied = { ...positions, membership, logStart: { index: 1, offset: 0 } };
  const meta = encodeImageRecord({ applied, restart, isInstalled: false });
  const image = images.encode({ groupId: GROUP, index, term: 1, meta, pairs: [] });
  const snapshot = { index, term: 1, membership, logStartIndex: 1, logStartPrevTerm: 0 };
  return { groupId: GROUP, from: LEADER, to: 1 as ReplicaId, term: 1, meta: snapshot, image };
}

/** An installer whose core wants the images with these indexes. */
function setUp(wanted: readonly number[]): { installer: ImageInstaller; flips: string[] } {
  const flips: string[] = [];
  let isInstalling = false;
  const core = {
    step: ({ snapshot }: { readonly snapshot: { readonly index: number } }) => {
      isInstalling ||= wanted.includes(snapshot.index);
    },
    status: () => ({ isBlocked: false, isInstalling, leaderId: LEADER }),
    term: 1,
  };
  const context = {
    core,
    groupId: GROUP,
    images,
    logger: silentLogger,
    replicaId: 1 as ReplicaId,
    spawn: (name: string) => flips.push(name),
    wake: () => undefined,
  };
  const parts = { apply: { suspend: () => undefined } };
  const installer = new ImageInstaller(
    context as unknown as GroupContext,
    parts as unknown as InstallParts,
  );
  return { installer, flips };
}

describe("image installer", () => {
  it("an image that the core does not want: is dropped", () => {
    const { flips, installer } = setUp([]);
    installer.receive(transfer(5));
    expect(() => installer.install(transfer(5).meta)).toThrow("a snapshot without image");
    expect(flips).toEqual([]);
  });

  it("an image that the core wants: waits for its word, whatever comes meanwhile", () => {
    const { flips, installer } = setUp([5]);
    for (const index of [4, 5, 6, 7]) installer.receive(transfer(index));
    installer.install(transfer(5).meta);
    expect(flips).toEqual(["flip-all"]);
  });
});
