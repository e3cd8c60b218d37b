/** Worker of an Ethernet IPCP: from the network to the processes. */

import { serveRx } from "../../shim/data/serve.ts";
import { EthFraming, type EthLink } from "./framing.ts";

serveRx<EthLink>((link) => new EthFraming(link));
