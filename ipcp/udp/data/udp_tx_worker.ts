/** Worker of a UDP IPCP: from the processes to the network. */

import { serveTx } from "../../shim/data/serve.ts";
import { UdpFraming, type UdpLink } from "./framing.ts";

serveTx<UdpLink>((link) => new UdpFraming(link));
