-- Puts a name into a set of names, or takes it out. KEYS: 4 the set. ARGV: kind, name, '1' or '0'.
local done
if ARGV[3] == '1' then
  done = redis.call('HSETNX', KEYS[4], ARGV[2], '')
else
  done = redis.call('HDEL', KEYS[4], ARGV[2])
end
if done == 1 then
  changed(ARGV[1])
end
return {'ok', 0}
