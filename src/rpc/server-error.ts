// BrokerError as grpc-js wants a failed call's status on the server.
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { BrokerError } from "../model/errors.ts";
import { STATUS_DETAILS_KEY, statusOf } from "./status.ts";

export function serviceErrorOf(error: BrokerError): ServiceError {
  const { code, message, details } = statusOf(error);
  const metadata = new Metadata();
  metadata.set(STATUS_DETAILS_KEY, details);
  return Object.assign(new BrokerError(error.reason, message), {
    code,
    details: message,
    metadata,
  });
}
