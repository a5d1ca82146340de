-- What the scripts share. KEYS of every script: 1 version, 2 changes, 3 settings.
-- A row's fields, in order: origin, direction, first seen, last seen, hits, last failure, route,
-- description, ground; between them \31. Rows of older programs have no ground. See record.rs.
local function current()
  return tonumber(redis.call('GET', KEYS[1]) or '0')
end
-- Raises the version and logs the change under it, with a stamp that no other change of this version
-- has in another history of the store; so many changes stay in the log.
local function changed(kind, subject, detail, log)
  local version, now = redis.call('INCR', KEYS[1]), redis.call('TIME')
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', log or 100000, '0-' .. string.format('%.0f', version),
    'kind', kind, 'subject', subject or '', 'detail', detail or '', 'stamp', now[1] .. '.' .. now[2])
  return version
end
-- Of the change that led to this version; '' if it is not in the log, or has none.
local function stamp_of(version)
  local id = '0-' .. string.format('%.0f', version)
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1] or {id, {}}
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'stamp' then
      return entry[2][i + 1]
    end
  end
  return ''
end
-- Keeps the set of those true about whom XMPP is asked again.
local function follow(unproven, domain, row)
  local due = row:match('^d.*\31%a%d+@(%d+)$')
  if due then
    redis.call('ZADD', unproven, due, domain)
  else
    redis.call('ZREM', unproven, domain)
  end
end
local function split(row)
  local fields = {}
  for field in (row .. '\31'):gmatch('([^\31]*)\31') do
    fields[#fields + 1] = field
  end
  return fields
end
