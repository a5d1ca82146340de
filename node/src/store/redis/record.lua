-- Writes (with JSON) or removes (without) a record of a small table. KEYS: 4 the table.
-- ARGV: key, version that it must have now ('0': it must not exist; '': whatever), JSON, kind of the
-- change ('': it is not logged).
local old = redis.call('HGET', KEYS[4], ARGV[1])
if not old and ARGV[2] ~= '' and ARGV[2] ~= '0' then
  return {'none', 0}
end
if ARGV[2] ~= '' then
  local version = old and cjson.decode(old).version or 0
  if (old and ARGV[2] == '0') or version ~= tonumber(ARGV[2]) then
    return {'conflict', version}
  end
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[1], ARGV[3])
elseif redis.call('HDEL', KEYS[4], ARGV[1]) == 0 then
  return {'none', 0}
end
if ARGV[4] ~= '' then
  changed(ARGV[4])
end
return {'ok', 0}
