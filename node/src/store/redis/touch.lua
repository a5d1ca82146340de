-- KEYS: from 4 on, the bucket of each use. ARGV: domain, hits, last seen, last failure of each.
for i = 4, #KEYS do
  local at = (i - 4) * 4
  local old = redis.call('HGET', KEYS[i], ARGV[at + 1])
  if old then
    local fields = split(old)
    local seen = math.max(tonumber(fields[4]), tonumber(ARGV[at + 3]))
    fields[4] = string.format('%.0f', seen)
    fields[5] = string.format('%.0f', tonumber(fields[5]) + tonumber(ARGV[at + 2]))
    fields[6] = ARGV[at + 4]
    redis.call('HSET', KEYS[i], ARGV[at + 1], table.concat(fields, '\31'))
  end
end
return {'ok', 0}
