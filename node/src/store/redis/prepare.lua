-- Makes a new store, or one of an older layout, one of this layout; and when a reader knows of more
-- than there is, or of something else, raises the era above the reader's: the store has gone back.
-- KEYS: 4 schema, 5 routes. ARGV: schema, route .* as JSON, identity if the store has none yet; then
-- what the reader knows: identity, era (0: nothing), version, stamp.
local found = tonumber(redis.call('GET', KEYS[4]) or '0')
if found > tonumber(ARGV[1]) then
  return {'newer', found, '', 0, ''}
end
if redis.call('HSETNX', KEYS[5], '0', ARGV[2]) == 1 then
  redis.call('HSET', KEYS[3], 'open', '0')
  changed('routes')
end
if redis.call('HEXISTS', KEYS[3], 'rows') == 0 then
  local rows = 0
  for bucket = 0, 4095 do
    rows = rows + redis.call('HLEN', 'openfed:d:' .. bucket)
  end
  redis.call('HSET', KEYS[3], 'rows', rows)
end
if found < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[4], ARGV[1])
end
redis.call('HSETNX', KEYS[3], 'identity', ARGV[3])
redis.call('HSETNX', KEYS[3], 'era', '1')
local identity, era = redis.call('HGET', KEYS[3], 'identity'), tonumber(redis.call('HGET', KEYS[3], 'era'))
local known, version, stamp = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local word = 'ready'
if known > 0 and era <= known then
  local there = stamp_of(version)
  local same = there == stamp or there == '' or stamp == ''
  if identity ~= ARGV[4] or era < known or current() < version or not same then
    era = known + 1
    redis.call('HSET', KEYS[3], 'era', string.format('%.0f', era))
    changed('era')
    word = 'raised'
  end
end
return {word, current(), identity, era, stamp_of(current())}
