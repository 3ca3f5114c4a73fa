// Producer names of the cluster's double: sessions by the rules of OpenProducer.
import { BrokerError } from "../../src/model/errors.ts";
import type {
  OpenProducerRequest,
  OpenProducerResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";

interface Named {
  readonly session: OpenProducerResponse;
  readonly token: string;
}

export class FakeProducers {
  /** Repetitions and refusals are not counted. */
  sessionsOpened = 0;
  readonly #names = new Map<string, Named>();
  #nextProducerId = 2;

  /** @throws PRODUCER_FENCED */
  open({ name, token, previous }: OpenProducerRequest): OpenProducerResponse {
    const known = this.#names.get(name);
    if (known !== undefined && token !== "" && known.token === token) return known.session;
    const isOther =
      previous !== undefined &&
      (known?.session.producerId !== previous.producerId || known.session.epoch !== previous.epoch);
    if (isOther) throw new BrokerError("PRODUCER_FENCED", "the name has another session");
    this.sessionsOpened += 1;
    const session =
      known === undefined ? this.#fresh() : { ...known.session, epoch: known.session.epoch + 1 };
    if (name !== "") this.#names.set(name, { session, token });
    return session;
  }

  #fresh(): OpenProducerResponse {
    const producerId = this.#nextProducerId;
    this.#nextProducerId += 2;
    return { producerId, weakProducerId: producerId + 1, epoch: 0 };
  }
}
