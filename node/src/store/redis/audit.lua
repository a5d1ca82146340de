-- Adds an entry to the audit. KEYS: 4 the audit. ARGV: entry, how many are kept.
local number = redis.call('HINCRBY', KEYS[3], 'last_audit', 1)
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[2], '0-' .. string.format('%.0f', number),
  'entry', ARGV[1])
return {'ok', number}
