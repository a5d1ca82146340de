-- The home server's side of openfed, for Prosody 0.12 with the package lua-unbound.
-- Copy to /etc/prosody/openfed.cfg.lua and add to the global section of prosody.cfg.lua,
-- before the first VirtualHost:   Include "openfed.cfg.lua"

-- Every domain that is not served here is looked up at openfed ([xmpp.dns] listen), which answers
-- with its own address: so openfed is, to this server, every other domain.
unbound = {
	resolvconf = false;
	hoststxt = false;
	forward = { "127.0.0.1@5353" };
	options = { ["do-not-query-localhost:"] = "no" };
}

-- openfed proves the domains that it speaks for by dialback; it has no certificates of theirs.
s2s_secure_auth = false
s2s_require_encryption = true

-- All other domains share few streams: the usual limit per stream is too low. This replaces the
-- limits set before, so those of clients (Debian's) are here, too; without the module "limits" it
-- does nothing.
limits = {
	c2s = { rate = "10kb/s" };
	s2sin = { rate = "10mb/s" };
}
