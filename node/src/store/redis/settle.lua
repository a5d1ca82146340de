-- What XMPP was asked again about is known: the row goes, or is proven from now on. Returns the row as
-- it was, if it was still unproven. KEYS: 4 bucket, 5 unproven. ARGV: domain, ground from now on or ''.
local row = redis.call('HGET', KEYS[4], ARGV[1]) or ''
local fields = split(row)
if fields[1] ~= 'd' or not (fields[9] or ''):match('^%a%d+@%d+$') then
  return {'', 0}
end
redis.call('ZREM', KEYS[5], ARGV[1])
if ARGV[2] ~= '' then
  fields[9] = ARGV[2]
  redis.call('HSET', KEYS[4], ARGV[1], table.concat(fields, '\31'))
  return {row, current()}
end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HINCRBY', KEYS[3], 'rows', -1)
return {row, changed('gone', ARGV[1])}
