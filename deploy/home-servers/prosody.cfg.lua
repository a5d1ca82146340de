-- The home server's side of openfed, for Prosody 0.12 with the package lua-unbound.
-- Copy to /etc/prosody/openfed.cfg.lua and add to the global section of prosody.cfg.lua,
-- before the first VirtualHost:   Include "openfed.cfg.lua"

-- Every domain that is not served here is looked up at openfed ([xmpp.dns] listen), which answers
-- with its own address: so openfed is, to this server, every other domain.
unbound = {
	resolvconf = false;
	hoststxt = false;
	forward = { "127.0.0.1@5353" };
	options = {
		["do-not-query-localhost:"] = "no";
		-- libunbound knows better than its forwarder what these zones hold: nothing. But SIP senders
		-- have such addresses (anonymous@anonymous.invalid, RFC 3323), and without these lines what
		-- they write cannot be delivered. It is one option many times, so each name goes on behind
		-- the zero byte at which libunbound stops reading it.
		["unblock-lan-zones:"] = "yes";
		["local-zone:\0 1"] = "invalid. transparent";
		["local-zone:\0 2"] = "test. transparent";
		["local-zone:\0 3"] = "onion. transparent";
		["local-zone:\0 4"] = "home.arpa. transparent";
		["local-zone:\0 5"] = "localhost. transparent";
		["local-zone:\0 6"] = "service.arpa. transparent";
		["local-zone:\0 7"] = "resolver.arpa. transparent";
	};
}

-- openfed proves the domains that it speaks for by dialback; what it shows for them is of its own authority.
s2s_secure_auth = false
s2s_require_encryption = true

-- All other domains share few streams: the usual limit per stream is too low. This replaces the
-- limits set before, so those of clients (Debian's) are here, too; without the module "limits" it
-- does nothing.
limits = {
	c2s = { rate = "10kb/s" };
	s2sin = { rate = "10mb/s" };
}
