//! VRRP versions 2 (RFC 3768) and 3 (RFC 9568): messages and the machine of
//! one virtual router.
