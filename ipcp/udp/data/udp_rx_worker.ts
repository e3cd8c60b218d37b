/** Worker of a UDP IPCP: from the network to the processes. */

import { serveRx } from "../../shim/data/serve.ts";
import { UdpFraming, type UdpLink } from "./framing.ts";
import { receivingWire } from "./wire.ts";

serveRx<UdpLink>((link) => new UdpFraming(link), receivingWire);
