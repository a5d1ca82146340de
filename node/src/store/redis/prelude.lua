-- What the scripts share. KEYS of every script: 1 version, 2 changes, 3 settings.
-- A row's fields, in order: origin, direction, first seen, last seen, hits, last failure, route,
-- description; between them \31. See record.rs.
local function current()
  return tonumber(redis.call('GET', KEYS[1]) or '0')
end
-- Raises the version and logs the change under it; so many changes stay in the log.
local function changed(kind, subject, detail, log)
  local version = redis.call('INCR', KEYS[1])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', log or 100000, '0-' .. string.format('%.0f', version),
    'kind', kind, 'subject', subject or '', 'detail', detail or '')
  return version
end
local function split(row)
  local fields = {}
  for field in (row .. '\31'):gmatch('([^\31]*)\31') do
    fields[#fields + 1] = field
  end
  return fields
end
