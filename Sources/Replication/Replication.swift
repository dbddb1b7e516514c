// Brings one owner's snapshots from this node's vault to a peer's, and back.
//
// The peer's commit is what counts: it says `committed` only when every pack is there and durable, so nothing here has to be
// believed later. Everything may be cut off anywhere and begun anew: what has arrived is not sent again. This module must
// never take a peer's word for content: what comes back is checked against its name and signature before it is stored.
