/** Worker of a UDP IPCP: from the processes to the network. */

import { serveTx } from "../../shim/data/serve.ts";
import { UdpFraming, type UdpLink } from "./framing.ts";
import { SegmentWire } from "./wire.ts";

serveTx<UdpLink>(
  (link) => new UdpFraming(link),
  (socket, wakeFd) => new SegmentWire(socket, wakeFd),
);
