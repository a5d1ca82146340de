-- KEYS: 4 bucket. ARGV: domain.
if redis.call('HDEL', KEYS[4], ARGV[1]) == 0 then
  return {'none', 0}
end
redis.call('HINCRBY', KEYS[3], 'rows', -1)
return {'ok', changed('gone', ARGV[1])}
