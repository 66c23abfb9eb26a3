// What this window knows of itself without asking: the number of its realm.

import { op_realm_id } from "ops";

export const own = { id: op_realm_id() };
