-- Takes the question about a row whose XMPP is to be asked again, if it is still due then, and says
-- when it is due next. KEYS: 4 bucket, 5 unproven. ARGV: domain, due, next.
local fields = split(redis.call('HGET', KEYS[4], ARGV[1]) or '')
local letter, asked, due = (fields[9] or ''):match('^(%a)(%d+)@(%d+)$')
if fields[1] ~= 'd' or not due then
  -- The row is gone, configured or proven by now.
  redis.call('ZREM', KEYS[5], ARGV[1])
  return {'none', 0}
end
if due ~= ARGV[2] then
  redis.call('ZADD', KEYS[5], due, ARGV[1])
  return {'taken', 0}
end
fields[9] = letter .. string.format('%.0f', tonumber(asked) + 1) .. '@' .. ARGV[3]
redis.call('HSET', KEYS[4], ARGV[1], table.concat(fields, '\31'))
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
return {'ok', 0}
