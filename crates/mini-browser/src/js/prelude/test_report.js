// The way out for the results of a page under test. No other page has it.

import { op_is_tested, op_test_report } from "ops";
import { install } from "./webidl.js";

if (op_is_tested()) install({ miniBrowserReport: (kind, json) => op_test_report(kind, json) });
