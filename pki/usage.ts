/** Help of `ouro pki`. */

import { KEY_TYPE_DEFAULT, KEY_TYPES } from "./key_types.ts";

/** The whole help text. */
export const USAGE = `Usage: ouro pki COMMAND [OPTION]...

Makes certificates and keys in the layout of the security directory.

Commands:
  init                    a root CA and an intermediate CA
  server NAME             certificate and key for processes that accept flows for NAME
  client NAME --as WHO    certificate and key with the name WHO, for flows to NAME
  request server NAME     key and certificate request, where the key will be used
  request client NAME --as WHO
  sign server|client FILE   certificate for a request
  renew root|intermediate   the same key, new dates: nothing below it breaks
  renew server|client NAME
  list                    all certificates, until when they last, which are revoked
  revoke WHAT             accept a certificate no more (copy it to revoked/): WHAT is
                          server NAME, client NAME, a file, a serial number or a peer's name
  unrevoke WHAT           accept it again
  kem NAME                static KEM key of NAME for kem_mode=client, both halves
  show FILE               what is in a certificate
  verify FILE             whether that certificate is trusted: its path, or why there is none
  check [NAME]            whether files, modes, chains and settings are right

Options:
  --security DIR   security directory (default: that of the node, see --prefix)
  --prefix DIR     the node that lives below DIR (or OURO_PREFIX)
  --key TYPE       key type, ${KEY_TYPE_DEFAULT} by default
  --days N         validity in days (root 3650, intermediate 1825, others 365)
  --org TEXT       organization in the subject (default: ouro)
  --as WHO         name of the client
  --alt NAMES      more names in the certificate, separated by commas
  --out FILE       sign: where the certificate goes (default: crt.pem beside the request)
  --private DIR    where the keys of the CAs are (default: private/ of the security directory)
  --passphrase-file FILE   its first line is the passphrase of the CAs' keys (init: sets it);
                   else OURO_PKI_PASSPHRASE
  --encrypt        also write an enc.conf with encryption on
  --kex WORD       key exchange in that enc.conf, or of the static key (implies --encrypt)
  --cipher WORD    cipher in that enc.conf (implies --encrypt)
  --require-auth   that enc.conf refuses peers without certificate
  --force          overwrite files that exist
  --trust DIR      verify: roots (default: cacert/ of the security directory)
  --untrusted DIR  verify: intermediates (default: untrusted/)
  --revoked DIR    verify: revoked certificates (default: revoked/)
  --name NAME      verify: the certificate must be for NAME
  --at TIME        verify: at that time, as 2026-01-31T12:00:00Z or seconds since 1970
  --json           print results as JSON
  --help           show this text

Key types: ${KEY_TYPES.filter((t) => !t.startsWith("slh")).join(" ")}
           slh-dsa-{sha2,shake}-{128,192,256}{s,f}

Private keys get mode 0600. The keys of the CAs are in DIR/private: move them to another machine
when all certificates are made.
`;
