// The largest gRPC message, enforced on either side with a typed error. grpc-js has a limit too, but refuses without
// ErrorInfo; it is therefore set a little higher and only guards against gross excess.
import { BrokerError } from "../model/errors.ts";
import { GRPC_MESSAGE_BYTES_MAX } from "../model/limits.ts";

/** grpc.max_receive_message_length on both sides. */
export const TRANSPORT_MESSAGE_BYTES_MAX: number = GRPC_MESSAGE_BYTES_MAX + 1024 * 1024;

/** Returns `bytes`. @throws RECORD_TOO_LARGE above GRPC_MESSAGE_BYTES_MAX */
export function checkedMessage(bytes: Buffer): Buffer {
  if (bytes.length <= GRPC_MESSAGE_BYTES_MAX) return bytes;
  throw new BrokerError("RECORD_TOO_LARGE", `a gRPC message of ${bytes.length} bytes`, {
    bytesMax: GRPC_MESSAGE_BYTES_MAX,
    limit: "message",
  });
}
