// Every subject; the one with a real broker is opened by whoever wants it.
import type { Subject } from "../subject.ts";
import { deliverySubjects } from "./deliveries.ts";
import { fileSubjects } from "./files.ts";
import { recordSubjects } from "./records.ts";
import { subscribeSubject } from "./subscribe.ts";
import { textSubjects } from "./texts.ts";
import { wireSubjects } from "./wire.ts";

export const SUBJECTS: readonly Subject[] = [
  ...recordSubjects,
  ...wireSubjects,
  ...fileSubjects,
  ...textSubjects,
  ...deliverySubjects,
  subscribeSubject,
];
