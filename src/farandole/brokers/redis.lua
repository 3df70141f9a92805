-- publish: KEYS: streams. ARGV: channel, topics, then for each message: the number of its stream, its key, the number of its fields and values, these.
-- Gives "" for each message, or why not. After a failure none of the same stream and key follows: it would overtake.
local results, failed, at = {}, {}, 3
while ARGV[at] do
    local stream, key, count = KEYS[tonumber(ARGV[at])], ARGV[at + 1], tonumber(ARGV[at + 2])
    local lane = stream .. '\0' .. key
    if failed[lane] then
        results[#results + 1] = 'an earlier message of its key failed'
    else
        local add = {'XADD', stream, '*'}
        for i = at + 3, at + 2 + count do add[#add + 1] = ARGV[i] end
        local reply = redis.pcall(unpack(add))
        if type(reply) == 'table' and reply.err then
            failed[lane] = true
            results[#results + 1] = reply.err
        else
            results[#results + 1] = ''
        end
    end
    at = at + 3 + count
end
redis.pcall('PUBLISH', ARGV[1], ARGV[2])
return results

-- join: KEYS: marks of a group, all groups. ARGV: the group, then field, mark, field, mark, ... Makes those that are missing.
redis.call('SADD', KEYS[2], ARGV[1])
for i = 2, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1

-- take: KEYS: marks, then streams. ARGV: token, then fields. Puts the token in; gives for each the mark as it was, and the stream's last id.
local found = {}
for i = 2, #ARGV do
    local mark = redis.call('HGET', KEYS[1], ARGV[i]) or ' 0 0 0 1'
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[1] .. string.gsub(string.gsub(mark, '^%S*', ''), '%d$', '0'))
    local last = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)
    found[#found + 1] = mark
    found[#found + 1] = last[1] and last[1][1] or '0-0'
end
return found

-- put: KEYS: marks. ARGV: token, then field, mark, field, mark, ... Writes them where the token is still the same; gives how many.
local count = 0
for i = 2, #ARGV, 2 do
    local mark = redis.call('HGET', KEYS[1], ARGV[i])
    if mark and string.match(mark, '^%S*') == ARGV[1] then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
        count = count + 1
    end
end
return count

-- change: KEYS: the group's document. ARGV: its version as it was read, the new document. Gives 1, or 0 where somebody came between.
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', tonumber(ARGV[1]) + 1, 'document', ARGV[2])
return 1

-- count: KEYS: a stream. ARGV: an id, the most to count. How many messages stand after it.
local count, after = 0, '(' .. ARGV[1]
while count < tonumber(ARGV[2]) do
    local page = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 1000)
    count = count + #page
    if #page < 1000 then return count end
    after = '(' .. page[#page][1]
end
return count
