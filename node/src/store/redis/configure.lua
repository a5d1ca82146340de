-- KEYS: 4 bucket. ARGV: domain, row to use if there is none, description.
local old = redis.call('HGET', KEYS[4], ARGV[1])
local row = ARGV[2]
if old then
  local fields = split(old)
  fields[1], fields[8] = 'c', ARGV[3]
  row = table.concat(fields, '\31')
else
  redis.call('HINCRBY', KEYS[3], 'rows', 1)
end
redis.call('HSET', KEYS[4], ARGV[1], row)
return {'ok', changed('row', ARGV[1], 'c')}
