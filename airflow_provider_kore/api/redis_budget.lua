-- The budget of calls of one account at Kore.ai, shared by all processes that call in its name.
--
-- It is what LocalBudget is for one process, and it answers the same: two rolling windows, two queues, four submits for
-- each poll that waits. It runs as one step, so what one process asks is answered before the next one asks.
--
-- KEYS, all with one hash tag, so that they are in one slot of a cluster:
--   calls      what counts: each call under a name of its own, by the moment of its answer
--   under_way  calls without an answer yet, by the end of their lease
--   submits    who waits to submit, by the moment at which the wish came up
--   polls      who waits to read, likewise
--   due        who waits, by the moment until which it must ask again
--   processes  who calls, by the moment until which it is counted as such
--   state      everything else
--
-- ARGV: one JSON object.
--   what         ask, peek, leave, end, close, slow_polls, tell or show; show writes nothing
--   process      the name of the process
--   turn         the id of the turn (ask, leave, end)
--   reads        whether it is a poll (ask, peek)
--   age          for how many seconds it has waited (ask)
--   seconds      for how long to close (close)
--   limits       calls that the process may make in each window
--   windows      length of each window in seconds: the minute and the hour
--   per_poll     how many submits go before a poll that waits
--   lease        seconds after which a call without an answer counts as answered
--   grace        seconds after its moment within which a turn must ask again
--   margin       seconds by which a closing for a window is longer than the window
--   kept         seconds after which the keys expire
--   epoch        the epoch that the process knows; '' if it knows none
--   latest       the moment after which the process has given up on this question; 0 if it cannot say
--   synced       the moment from which on the process wants to know all calls
--   tell only:
--   calls        names of the calls that the process knows of
--   under_way    ids of the turns whose calls are under way in the process
--   at_least     a moment that has passed for certain
--   away_since   when an outage of more than a window began for the process; 0 if there was none
--   closed       seconds for which the account must stay closed
--
-- The answer is a list of texts: status, now, epoch, processes, seconds, ahead, reason (throttled, new, minute, hour, polls;
-- of close: open, if it was), left this minute, left this hour, limit of the minute, limit of the hour, how many calls
-- count, and then the names of calls: of ask and peek all since the moment that was asked for, of end its own. Of show
-- there follow instead: calls that count in the minute and in the hour, calls under way, submits and polls that wait, for
-- how many seconds the account is closed, why, and whether that begins with the next question (1) or has begun (0).
-- The status is done, or why nothing was done: late (the process has given up by now) or tell (it must tell first).

local calls, under_way, submits, polls, due, processes, state = unpack(KEYS)
local request = cjson.decode(ARGV[1])
local what, member = request.what, (request.turn or '') .. ':' .. request.process
local minute, hour = request.windows[1], request.windows[2]

-- cjson and Redis' own conversion round a moment to a few digits: it has 16.
local function text(number) return string.format('%.6f', number) end

local stored, changed = {}, {}
local flat = redis.call('HGETALL', state)
for i = 1, #flat, 2 do stored[flat[i]] = flat[i + 1] end
local function number(name, default) return tonumber(stored[name] or default or 0) end
local function set(name, value)
  value = type(value) == 'number' and text(value) or value
  stored[name], changed[name] = value, value
end

-- The clock is this server's, and never runs back: not if it is set back, nor after a failover to a slower one. What it
-- lags behind is added from then on, so that no wait becomes longer.
local time = redis.call('TIME')
local own = tonumber(time[1]) + tonumber(time[2]) / 1e6
local now = math.max(own + number('shift'), number('now'))
local lost_time = math.max((request.at_least or 0) - now, 0) -- with the shift
now = now + lost_time
if now > own + number('shift') then set('shift', now - own) end
now = tonumber(text(now))
set('now', now)

local function close(moment, why)
  if moment > number('closed') then
    set('closed', moment)
    set('why_closed', why)
  end
  set('next_poll', math.max(number('next_poll', -math.huge), number('closed')))
end

-- Calls may be forgotten: Redis is new, or restarted, or another one took its place (its run_id is another), or a key
-- was evicted. Then nobody calls for a minute, and each process first tells what it knows; the epoch says so to it.
-- The right to INFO is optional: without it, a failover is noticed only if it lost all.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local function count_calls() return redis.call('ZCARD', calls) + redis.call('ZCARD', under_way) end
if not stored.epoch or run ~= stored.run or count_calls() ~= number('counted')
    or number('epoch') < (request.away_since or 0) or lost_time > request.margin / 2 then
  set('epoch', now)
  set('run', run)
  close(now + minute + request.margin, 'new')
end

-- Of several processes with other limits the strictest counts, for an hour after it said so for the last time.
local function strictest(name, limit)
  if limit <= number(name) or number(name .. '_until') <= now then
    set(name, limit)
    set(name .. '_until', now + hour)
  end
  return number(name)
end
local limits = {strictest('per_minute', request.limits[1]), strictest('per_hour', request.limits[2])}
local seconds_per_poll = 2 * math.max(minute / limits[1], hour / limits[2])

local function count(moment)
  set('numbered', number('numbered') + 1)
  local name = text(moment) .. '/' .. string.format('%d', number('numbered'))
  redis.call('ZADD', calls, text(moment), name)
  return name
end

local function leave(waiting)
  redis.call('ZREM', submits, waiting)
  redis.call('ZREM', polls, waiting)
  redis.call('ZREM', due, waiting)
end

local function process_of(waiting) return string.match(waiting, '[^:]*$') end

local function drop_process(lost)
  for _, waiting in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    if lost[process_of(waiting)] then leave(waiting) end
  end
end

-- A process that misses a moment has ended, most likely, with all that it had in the queues. If it lives, they only ask
-- again, and get their old positions, since those follow from their ages.
local function drop_lost()
  local lost, any = {}, false
  for _, waiting in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', text(now))) do
    if process_of(waiting) == request.process then
      leave(waiting)
    else
      lost[process_of(waiting)], any = true, true
    end
  end
  if any then drop_process(lost) end
end

local function end_leases()
  local ended = redis.call('ZRANGEBYSCORE', under_way, '-inf', text(now), 'WITHSCORES')
  for i = 1, #ended, 2 do
    redis.call('ZREM', under_way, ended[i])
    count(tonumber(ended[i + 1]))
  end
end

-- Says when the turn of a position comes at the earliest; right if all before it take theirs then.
local function next_turn(position)
  local ahead
  local row, known = number('submits_in_a_row'), count_calls()
  local moments = {{stored.why_closed or 'throttled', number('closed')}}
  if request.reads then
    ahead = position + math.min(redis.call('ZCARD', submits), (position + 1) * request.per_poll - row)
  else
    ahead = position + math.min(redis.call('ZCARD', polls), math.floor((row + position) / request.per_poll))
  end
  for i, name in ipairs({'minute', 'hour'}) do
    local limit, length = limits[i], request.windows[i]
    local leaving = known + ahead % limit - limit -- the call that must have left the window by then
    local free = now
    if leaving >= 0 then
      local answered = redis.call('ZRANGE', calls, leaving, leaving, 'WITHSCORES')[2]
      free = (answered and tonumber(answered) or now) + length
    end
    table.insert(moments, {name, free + math.floor(ahead / limit) * length})
  end
  if request.reads then
    table.insert(moments, {'polls', number('next_poll', -math.huge) + position * seconds_per_poll})
  end
  local last = moments[1]
  for _, moment in ipairs(moments) do
    if moment[2] > last[2] then last = moment end
  end
  return tonumber(text(math.max(last[2] - now, 0))), ahead, last[1]
end

-- Counts who waits and has not missed its moment.
local function count_waiting(queue)
  local waiting = 0
  for _, each in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
    if tonumber(redis.call('ZSCORE', due, each) or 0) > now then waiting = waiting + 1 end
  end
  return waiting
end

local status, seconds, ahead, reason, names = 'done', 0, 0, '', {}

local function ask()
  local own_queue = request.reads and polls or submits
  if what == 'ask' then redis.call('ZADD', own_queue, 'NX', text(now - request.age), member) end
  local position = redis.call('ZRANK', own_queue, member) or redis.call('ZCARD', own_queue)
  seconds, ahead, reason = next_turn(position)
  if what == 'ask' then
    -- A little longer than it takes to ask again, so that a process that calls now and then is counted all the while.
    local until_when = math.max(now + 2 * minute, now + seconds + request.grace)
    local before = tonumber(redis.call('ZSCORE', processes, request.process) or 0)
    redis.call('ZADD', processes, text(math.max(until_when, before)), request.process)
    if seconds > 0 then
      redis.call('ZADD', due, text(now + seconds + request.grace), member)
    else
      leave(member)
      redis.call('ZADD', under_way, text(now + request.lease), member)
      set('submits_in_a_row', request.reads and 0 or math.min(number('submits_in_a_row') + 1, request.per_poll))
    end
  end
  names = redis.call('ZRANGEBYSCORE', calls, text(request.synced), '+inf')
end

local function tell()
  for _, name in ipairs(request.calls) do
    redis.call('ZADD', calls, 'NX', string.match(name, '^[^/]*'), name)
  end
  -- Of what was asked before the outage, the process knows the answers best.
  drop_process({[request.process] = true})
  for _, going in ipairs(redis.call('ZRANGE', under_way, 0, -1)) do
    if process_of(going) == request.process then redis.call('ZREM', under_way, going) end
  end
  for _, turn in ipairs(request.under_way) do
    redis.call('ZADD', under_way, text(now + request.lease), turn .. ':' .. request.process)
  end
  if request.closed > 0 then close(now + request.closed, 'throttled') end
end

if what ~= 'show' then
  end_leases()
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', text(now - hour))
  redis.call('ZREMRANGEBYSCORE', processes, '-inf', text(now))
  drop_lost()
end

if request.latest > 0 and now > request.latest then
  status = 'late'
elseif what == 'ask' or what == 'peek' then
  if request.epoch ~= '' and request.epoch ~= stored.epoch then status = 'tell' else ask() end
elseif what == 'leave' then
  leave(member)
  redis.call('ZREM', under_way, member) -- its call was allowed to begin, and the process has not heard of it
elseif what == 'end' then
  redis.call('ZREM', under_way, member)
  names = {count(now)}
elseif what == 'close' then
  reason = number('closed') <= now and 'open' or ''
  close(now + request.seconds, 'throttled')
elseif what == 'slow_polls' then
  local longest_credit = limits[1] / 2 * seconds_per_poll
  set('next_poll', math.max(number('next_poll', -math.huge), now - longest_credit) + seconds_per_poll)
elseif what == 'tell' then
  tell()
end

-- A lease that has ended counts by its end, also where show lets it be.
local function count_since(moment)
  return redis.call('ZCOUNT', calls, '(' .. text(moment), '+inf')
    + redis.call('ZCOUNT', under_way, '(' .. text(moment), text(now))
end
local going = redis.call('ZCOUNT', under_way, '(' .. text(now), '+inf')
local in_hour, in_minute = count_since(now - hour), count_since(now - minute)
local calling = redis.call('ZCOUNT', processes, '(' .. text(now), '+inf')

if what == 'show' then
  names = {
    tostring(in_minute + going), tostring(in_hour + going), tostring(going),
    tostring(count_waiting(submits)), tostring(count_waiting(polls)),
    text(math.max(number('closed') - now, 0)), stored.why_closed or 'throttled', changed.epoch and '1' or '0',
  }
else
  set('counted', string.format('%d', count_calls()))
  local changes = {}
  for name, value in pairs(changed) do
    table.insert(changes, name)
    table.insert(changes, value)
  end
  redis.call('HSET', state, unpack(changes))
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, math.ceil(request.kept)) end
end

local answer = {
  status, text(now), stored.epoch, tostring(calling), text(seconds), tostring(ahead), reason,
  tostring(math.max(limits[1] - in_minute - going, 0)), tostring(math.max(limits[2] - in_hour - going, 0)),
  tostring(limits[1]), tostring(limits[2]), tostring(in_hour),
}
for _, name in ipairs(names) do table.insert(answer, name) end
return answer
