-- Rows for domains that have none; discovered ones become configured, configured ones stay.
-- KEYS: from 4 on, the bucket of each domain.
-- ARGV: how many changes may stay in the log, then domain, row to use if there is none, and
-- description of each.
local added, names = 0, {}
for i = 4, #KEYS do
  local at = (i - 4) * 3 + 1
  local old, row = redis.call('HGET', KEYS[i], ARGV[at + 1]), nil
  if not old then
    row = ARGV[at + 2]
    added = added + 1
  elseif old:sub(1, 1) == 'd' then
    local fields = split(old)
    fields[1] = 'c'
    if ARGV[at + 3] ~= '' then
      fields[8] = ARGV[at + 3]
    end
    row = table.concat(fields, '\31')
  end
  if row then
    redis.call('HSET', KEYS[i], ARGV[at + 1], row)
    names[#names + 1] = ARGV[at + 1]
  end
end
if #names > 0 then
  redis.call('HINCRBY', KEYS[3], 'rows', added)
  changed('rows', table.concat(names, '\n'), 'c', ARGV[1])
end
return {added, #names - added}
