/**
 * Preloaded into every Node process that the lab starts (`node --import`): it dies with the lab, also when that was
 * killed and could clean up nothing.
 */
import { dieWithParent } from "../os/process.ts";
import { leashVariable } from "./program.ts";

dieWithParent(Number(process.env[leashVariable]));
