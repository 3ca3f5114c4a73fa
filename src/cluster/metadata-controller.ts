// The metadata leader's end of every change: proposes commands on this node's metadata replica and
// answers commands that peers send (ProposeMetadata). Frontends and the broker's ControllerClient
// call it.

import { SECTION } from "../model/entry-frame.ts";
import { BrokerError, type ErrorFields } from "../model/errors.ts";
import { nodeOfReplica } from "../model/ids.ts";
import type { EntryDraft, ReplicaHandle } from "../replica/ports.ts";
import {
  decodeMetadataCommand,
  encodeMetadataCommand,
  METADATA_COMMAND_BYTES_MAX,
  type MetadataCommand,
} from "./metadata-commands.ts";
import type { MetadataView } from "./metadata-image.ts";
import { encodeMetadataReply, type MetadataReply, resultOf } from "./metadata-reply.ts";

/** Commands being proposed at once on one node. Beyond: OVERLOADED. */
export const METADATA_PROPOSALS_MAX = 256;

/** The part of a replica that is needed here. */
export type MetadataReplica = Pick<
  ReplicaHandle,
  "replicaId" | "isLeaderReady" | "leaderNode" | "term" | "watermarks" | "proposeAndApply"
>;

export class MetadataController {
  readonly #replica: MetadataReplica;
  readonly #view: MetadataView;
  #inFlight = 0;

  constructor(replica: MetadataReplica, view: MetadataView) {
    this.#replica = replica;
    this.#view = view;
  }

  /** True while this node may decide changes. */
  get isLeader(): boolean {
    return this.#replica.isLeaderReady;
  }

  /**
   * Throws unless this node leads the metadata group and is ready.
   * @throws BrokerError NOT_LEADER with the leader's id and client endpoint where known, else
   * LEADER_UNKNOWN
   */
  requireLeader(): void {
    if (this.#replica.isLeaderReady) return;
    throw this.#notLeader();
  }

  /**
   * Proposes and waits until the command is applied here.
   *
   * @returns the result's fields
   * @throws BrokerError as the state refuses; INVALID_REQUEST (malformed) | NOT_LEADER | LEADER_UNKNOWN | OVERLOADED (not
   * applied); LEADERSHIP_LOST (outcome unknown)
   */
  async propose(
    command: MetadataCommand,
  ): Promise<Readonly<Record<string, string | number | boolean>>> {
    const bytes = encodeMetadataCommand(command);
    // What could not be read when it is applied would halt every replica: nothing gets into the log unread.
    decodeMetadataCommand(bytes);
    return resultOf(await this.#proposeForReply(bytes));
  }

  /**
   * Answers a peer's ProposeMetadata. The command is decoded first, so that nothing unreadable gets
   * into the log.
   *
   * @param command UTF-8 JSON of the command
   * @returns the reply as UTF-8 JSON (a refusal by the state is a reply too) and an index at which
   * it was applied
   */
  async answer(command: Uint8Array): Promise<{ readonly reply: Buffer; readonly index: number }> {
    const checked = encodeMetadataCommand(decodeMetadataCommand(command));
    const reply = await this.#proposeForReply(checked);
    return { reply: encodeMetadataReply(reply), index: this.#replica.watermarks.appliedIndex };
  }

  async #proposeForReply(bytes: Buffer): Promise<MetadataReply> {
    this.requireLeader();
    if (bytes.length > METADATA_COMMAND_BYTES_MAX) {
      throw new BrokerError("INVALID_REQUEST", "the change is too large", {
        field: "settings",
        limit: METADATA_COMMAND_BYTES_MAX,
      });
    }
    if (this.#inFlight >= METADATA_PROPOSALS_MAX) {
      throw new BrokerError("OVERLOADED", "too many metadata changes at once", {
        limit: "metadataProposals",
      });
    }
    this.#inFlight += 1;
    try {
      return (await this.#replica.proposeAndApply(draftOf(bytes))) as MetadataReply;
    } finally {
      this.#inFlight -= 1;
    }
  }

  #notLeader(): BrokerError {
    const leaderId = this.#replica.leaderNode;
    if (leaderId === 0 || leaderId === nodeOfReplica(this.#replica.replicaId)) {
      return new BrokerError("LEADER_UNKNOWN", "the metadata group has no ready leader known here");
    }
    const endpoint = this.#view.image.nodes.get(leaderId)?.endpoints.client;
    const fields: ErrorFields = { leaderId, leaderEpoch: this.#replica.term };
    return new BrokerError(
      "NOT_LEADER",
      `node ${leaderId} leads the metadata group`,
      endpoint === undefined ? fields : { ...fields, leaderEndpoint: endpoint },
    );
  }
}

function draftOf(bytes: Uint8Array): EntryDraft {
  const sections = [{ type: SECTION.COMMAND, ignorable: false, bytes }];
  return { kind: "data", recordCount: 0, layoutEpoch: 0, sections };
}
