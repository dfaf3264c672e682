-- All policies of one call of one user: checked, then all charged, or none of them.
--
-- KEYS[i]      what the user used up of policy i: a theoretical arrival time, in microseconds of
--              this server's clock; gone once it is past. All keys have one hash tag.
-- ARGV[1]      how much further ahead than its tolerance a stored time may be
-- ARGV[3i - 1] the time between two calls at the rate of policy i
-- ARGV[3i]     its tolerance: the time of a burst
-- ARGV[3i + 1] what the call costs: so many times the time between two calls
--              all in whole microseconds
--
-- Answers four integers: 1 if the call is charged, else 0; the number of the policy that refuses
-- it for longest, else 0; how many calls would fit behind it under the tightest policy, 0 if it is
-- refused; in how many milliseconds, rounded up, it would be allowed: 0 if it is, -1 if never.
--
-- Times are below 2^53, hence exact; they are written by '%.0f', since '..' rounds to 14 digits.

local window = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function write(key, tat)
  local millis = math.ceil((tat - now) / 1000)
  redis.call('SET', key, string.format('%.0f', tat), 'PX', string.format('%.0f', millis))
end

-- Before anything is written: a key of another type ends the script here.
local stored = {}
for i, key in ipairs(KEYS) do
  stored[i] = redis.call('GET', key)
end

local tats = {}
local remaining, refusing, retry = math.huge, 0, 0
for i, key in ipairs(KEYS) do
  local interval, tolerance = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local cost = tonumber(ARGV[3 * i + 1])
  if cost > tolerance then
    return { 0, i, 0, -1 }
  end
  local tat = now
  if stored[i] then
    tat = tonumber(stored[i])
    -- Garbage, or a clock that stepped back: the burst counts as used up, and from now on, or the
    -- user would stay refused for as long as the key lives.
    if not (tat and tat <= now + tolerance + window) then
      tat = now + tolerance
      write(key, tat)
    end
  end
  tats[i] = math.max(tat, now) + cost
  local over = tats[i] - now - tolerance
  if over > retry then
    refusing, retry = i, over
  end
  remaining = math.min(remaining, math.floor(-over / interval))
end

if refusing > 0 then
  return { 0, refusing, 0, math.ceil(retry / 1000) }
end
for i, key in ipairs(KEYS) do
  write(key, tats[i])
end
return { 1, 0, remaining, 0 }
