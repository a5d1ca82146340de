-- KEYS: 4 blocked, 5 pinned, 6 bucket, 7 unproven. ARGV: domain, row, cap, then what would block the domain.
for i = 4, #ARGV do
  if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 1 then
    return {'blocked', 0}
  end
end
if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 1 then
  return {'exists', current()}
end
if redis.call('HGET', KEYS[3], 'open') ~= '1' then
  return {'closed', 0}
end
if redis.call('HEXISTS', KEYS[5], ARGV[1]) == 1 then
  return {'pinned', 0}
end
if tonumber(redis.call('HGET', KEYS[3], 'rows') or '0') >= tonumber(ARGV[3]) then
  return {'full', 0}
end
redis.call('HSET', KEYS[6], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[3], 'rows', 1)
follow(KEYS[7], ARGV[1], ARGV[2])
return {'new', changed('row', ARGV[1], 'd')}
