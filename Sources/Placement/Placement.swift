// Who stores how much for whom, and which node keeps which pack.
//
// Pure functions of what both sides said and of names: no I/O, no clock, no random source, no state. This module must never give a
// result that depends on the order in which nodes were met, or that the other side could not work out as well.
