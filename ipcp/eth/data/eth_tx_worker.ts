/** Worker of an Ethernet IPCP: from the processes to the network. */

import { serveTx } from "../../shim/data/serve.ts";
import { EthFraming, type EthLink } from "./framing.ts";

serveTx<EthLink>((link) => new EthFraming(link));
