/**
 * Every limit of the system in one place; the unit is in the name. Pure.
 *
 * The first block is fixed by compatibility with the prototype (spec section behind each), the second
 * is our own choice with its reason. One test a limit reaches it.
 */

// Fixed by the prototype.

/** Flow ids are 1..10239, 0 is never used (spec 10 §1). */
export const FLOW_IDS_MAX = 10240;
/** Descriptors run from 64 to 4095 (spec 30 §1). */
export const FD_FIRST = 64;
export const FDS_MAX = 4096;
/** Flow set indexes of a process, index 0 belongs to the library (spec 10 §6.4). */
export const FQUEUES_MAX = 32;
/** Slots of an rbuff and of an event queue; an rbuff holds one less (spec 10 §5.1). */
export const RBUFF_SLOTS = 1024;
/** One message on a UNIX socket, bytes (spec 20 §1). */
export const MESSAGE_BYTES_MAX = 10240;
/**
 * The same between an IRMd and an IPCP of ours: a flow's request with post-quantum keys. The IRMd says so in the
 * environment of the IPCP, {@linkcode LONG_MESSAGES_ENV}, the IPCP in IPCP_CREATE_R.
 */
export const LONG_MESSAGE_BYTES_MAX = 66_560;
export const LONG_MESSAGES_ENV = "OURO_MESSAGE_BYTES_MAX";
/** Names, IPCP names, layer names, device names, program paths, bytes (spec 20 §1). */
export const NAME_BYTES_MAX = 255;
/** Paths of security files, bytes (spec 20 §1). */
export const SECURITY_PATH_BYTES_MAX = 511;
/** Names of network devices, bytes (IFNAMSIZ - 1 of Linux). */
export const DEVICE_NAME_BYTES_MAX = 15;
/** Session key of a flow, bytes (spec 20 §1). */
export const SYMKEY_BYTES = 32;
