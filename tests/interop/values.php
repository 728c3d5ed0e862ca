<?php
// PHP's side of php.c: answers the questions on stdin (a letter, a length, bytes) on stdout (1 or 0, a length, bytes, a
// dot). Only '-': the extension that is asked for is not there.

error_reporting(0);

class Base
{
    private $secret;
    protected $guarded;
    public $open;

    public function __construct($secret, $guarded, $open)
    {
        [$this->secret, $this->guarded, $this->open] = [$secret, $guarded, $open];
    }
}

class Child extends Base
{
    private $secret = 'its own';
    public ?int $number = -5;
}

class Bag
{
    public function __construct(private array $items)
    {
    }

    public function __serialize(): array
    {
        return $this->items;
    }

    public function __unserialize(array $items): void
    {
        $this->items = $items;
    }
}

class Old implements Serializable
{
    public function __construct(private string $bytes = '')
    {
    }

    public function serialize()
    {
        return $this->bytes;
    }

    public function unserialize($bytes)
    {
        $this->bytes = $bytes;
    }
}

enum Suit
{
    case Hearts;
    case Spades;
}

enum Level: int
{
    case Low = 1;
    case High = 2;
}

/** Random values, the same for the same seed. */
final class Maker
{
    private array $cases;

    public function __construct(int $seed, private string $for)
    {
        mt_srand($seed);
        // A case that stands there twice would be a reference.
        $this->cases = $for === 'serialize' ? [Suit::Hearts, Level::High, Level::Low, Suit::Spades] : [];
    }

    public function value(int $depth = 0): mixed
    {
        switch (mt_rand(0, $depth < 5 ? 14 : 6)) {
            case 0:
                return null;
            case 1:
                return (bool) mt_rand(0, 1);
            case 2:
                return [0, -1, 127, 128, -32, -33, 255, 256, -128, -129, 65535, 65536, 4294967295, 4294967296, -32769,
                    -2147483649, PHP_INT_MAX, PHP_INT_MIN][mt_rand(0, 17)];
            case 3:
                return mt_rand() - mt_rand();
            case 4:
                return $this->double();
            case 5:
            case 6:
                return $this->string();
            case 7:
            case 8:
            case 9:
                return $this->items($depth, true);
            case 10:
            case 11:
                return $this->items($depth, false);
            default:
                return $this->object($depth);
        }
    }

    private function double(): float
    {
        switch (mt_rand(0, 3)) {
            case 0:
                return mt_rand(-100000, 100000) / 1000;
            case 1:
                return (mt_rand() - mt_rand()) * 10.0 ** mt_rand(-30, 30);
            case 2:
                return $this->for === 'json' ? 0.5 : [INF, -INF, NAN, -0.0][mt_rand(0, 3)];
            default:
                $double = unpack('d', pack('L2', mt_rand(0, 0xffffffff), mt_rand(0, 0xffffffff)))[1];

                return is_finite($double) ? $double : 1.5;
        }
    }

    private function string(): string
    {
        $length = [0, 1, 3, 31, 32, 40, 255, 256, 300][mt_rand(0, 8)];
        if ($this->for !== 'json') {
            $string = '';
            while (strlen($string) < $length) {
                $string .= pack('N', mt_rand(0, 0xffffffff));
            }

            return substr($string, 0, $length);
        }
        static $characters = [];
        while (count($characters) < 20000) {
            $point = [mt_rand(0, 0x7f), mt_rand(0x80, 0x7ff), mt_rand(0x2000, 0x2030), mt_rand(0xe000, 0xffff),
                mt_rand(0x10000, 0x10ffff)][mt_rand(0, 4)];
            $characters[] = self::utf8($point);
        }

        return implode('', array_slice($characters, mt_rand(0, 19600), $length));
    }

    private static function utf8(int $point): string
    {
        if ($point < 0x80) {
            return chr($point);
        }
        $tail = chr(0x80 | $point & 0x3f);
        if ($point < 0x800) {
            return chr(0xc0 | $point >> 6) . $tail;
        }
        $tail = chr(0x80 | $point >> 6 & 0x3f) . $tail;

        return $point < 0x10000 ? chr(0xe0 | $point >> 12) . $tail : chr(0xf0 | $point >> 18) . chr(0x80 | $point >> 12 & 0x3f) . $tail;
    }

    private function items(int $depth, bool $isList): array
    {
        $items = [];
        for ($count = [0, 1, 2, 3, 5, 15, 17][mt_rand(0, 6)]; $count > 0; $count--) {
            $value = $this->value($depth + 2);
            if ($isList) {
                $items[] = $value;
            } else {
                $items[[$this->string(), 'k' . mt_rand(), (string) mt_rand(0, 9), mt_rand(-500, 5000)][mt_rand(0, 3)]] = $value;
            }
        }

        return $items;
    }

    private function object(int $depth): mixed
    {
        if ($this->for === 'json') {
            $object = new stdClass();
            for ($i = mt_rand(0, 4); $i > 0; $i--) {
                $object->{'p' . $this->string()} = $this->value($depth + 2);
            }

            return $object;
        }
        switch (mt_rand(0, 6)) {
            case 0:
                return new Base($this->value($depth + 2), $this->value($depth + 2), $this->value($depth + 2));
            case 1:
                return new Child($this->value($depth + 2), 1, $this->string());
            case 2:
                return new Bag($this->bagged($this->items($depth, (bool) mt_rand(0, 1))));
            case 3:
                return new Old($this->string());
            case 4:
                return array_pop($this->cases) ?? 'no more cases';
            case 5:
                return new ArrayObject($this->items($depth, false));
            default:
                return (object) ['5' => 1, 'a' => $this->value($depth + 2), '' => 2];
        }
    }

    /** What an object of a class with __serialize() can hold for ferry too: no name that begins with a zero, for it would
        be mangled wrongly; and in msgpack, which has a form of its own for these objects, an integer for a name. */
    private function bagged(array $items): array
    {
        foreach ($items as $key => $value) {
            if (is_string($key) && $key !== '' && $key[0] === "\0") {
                unset($items[$key]);
            }
        }

        if ($this->for !== 'msgpack') {
            return $items;
        }

        return mt_rand(0, 1) ? [...array_values($items), 7] : [5 => 1] + $items;
    }

    /** A value with objects and variables that stand in several places. */
    public function shared(): array
    {
        $variable = $this->value(3);
        $objects = [(object) ['name' => 'a'], new Base(1, $this->value(3), [])];
        $objects[0]->other = $objects[1];
        $items = [];
        for ($i = 0; $i < 12; $i++) {
            switch (mt_rand(0, 4)) {
                case 0:
                    $items[] = &$variable;
                    break;
                case 1:
                    $items['o' . $i] = $objects[mt_rand(0, 1)];
                    break;
                case 2:
                    $items[] = [Suit::Hearts, $objects[0], 'by' => &$variable];
                    break;
                case 3:
                    $items[] = [&$objects[1]];
                    break;
                default:
                    $items[] = $this->value(3);
            }
        }

        return $items;
    }
}

const PLAIN = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;

// What stands for a value here; walk.c says a value of ferry in the same way.

function say(string $bytes): string
{
    return 's' . strlen($bytes) . ':' . $bytes;
}

/** A scalar; null if it is none. */
function sayScalar(mixed $value): ?string
{
    return match (true) {
        $value === null => 'n',
        is_bool($value) => $value ? 'b1' : 'b0',
        is_int($value) => 'i' . $value,
        is_float($value) => is_nan($value) ? 'dnan' : 'd' . bin2hex(pack('E', $value)),
        is_string($value) => say($value),
        default => null,
    };
}

function sayItems(array $items, int $depth, bool $isLive): string
{
    $text = '';
    foreach ($items as $key => $value) {
        $text .= (is_int($key) ? 'i' . $key : say($key)) . '=' . walk($value, $depth, $isLive);
    }

    return $text;
}

/** @param bool $isLive what an encoder makes of the object, not what stands in it */
function walk(mixed $value, int $depth = 0, bool $isLive = false): string
{
    if ($depth > 600) {
        throw new Exception('a cycle');
    }
    if (is_array($value)) {
        return '[' . sayItems($value, $depth + 1, $isLive) . ']';
    }
    if (!is_object($value)) {
        return sayScalar($value);
    }
    if ($value instanceof Old) {
        return 'COld:' . say($value->serialize());
    }
    if ($value instanceof UnitEnum && !$isLive) {
        return 'E' . $value::class . ':' . say($value->name);
    }
    $items = $isLive && method_exists($value, '__serialize') ? $value->__serialize() : (array) $value;
    $class = $value::class;
    if ($value instanceof __PHP_Incomplete_Class) {
        $class = $items['__PHP_Incomplete_Class_Name'];
        unset($items['__PHP_Incomplete_Class_Name']);
    }

    return 'O' . strlen($class) . ':' . $class . '{' . sayItems($items, $depth + 1, $isLive) . '}';
}

/** Of what json_decode gave: the names of members are strings, __class comes first. */
function walkJson(mixed $value): string
{
    if (!is_array($value) && !is_object($value)) {
        return sayScalar($value);
    }
    $isNamed = is_object($value);
    $items = (array) $value;
    $text = '';
    if (is_string($items['__class'] ?? null)) {
        $text = say('__class') . '=' . say($items['__class']);
        unset($items['__class']);
    }
    foreach ($items as $key => $item) {
        $text .= ($isNamed ? say((string) $key) . '=' : '') . walkJson($item);
    }

    return $isNamed ? '{' . $text . '}' : '[' . $text . ']';
}

function walkJsonArrays(mixed $value): string
{
    if (!is_array($value)) {
        return sayScalar($value);
    }
    $text = '';
    if (is_string($value['__class'] ?? null)) {
        $text = say('__class') . '=' . say($value['__class']);
        unset($value['__class']);
    }
    foreach ($value as $key => $item) {
        $text .= say((string) $key) . '=' . walkJsonArrays($item);
    }

    return '[' . $text . ']';
}

/** False: PHP does not take it. */
function unserialized(string $bytes, array $classes): string|false
{
    $value = unserialize($bytes, ['allowed_classes' => $classes]);
    if ($value === false && strncmp($bytes, 'b:0;', 4) !== 0) {
        return false;
    }
    try {
        return walk($value);
    } catch (Exception) {
        return 'a cycle';
    }
}

/** False: PHP does not take it. */
function answer(string $letter, string $bytes): string|false
{
    switch ($letter) {
        case 'v':                       // without any class but enums
            return unserialized($bytes, []);
        case 'V':                       // with the one that has bytes of its own
            return unserialized($bytes, ['Old']);
        case 'u':                       // written again
            return serialize(unserialize($bytes));
        case 's':
            return serialize((new Maker((int) $bytes, 'serialize'))->value());
        case 'r':
            return serialize((new Maker((int) $bytes, 'serialize'))->shared());
        case 'j':
            $value = json_decode($bytes, false);
            if (json_last_error() === JSON_ERROR_INVALID_PROPERTY_NAME) {
                return 'A' . walkJsonArrays(json_decode($bytes, true));
            }

            return json_last_error() ? false : 'O' . walkJson($value);
        case 'i':
            return json_encode(json_decode($bytes), PLAIN);
        case 'J':
            $value = (new Maker((int) $bytes, 'json'))->value();

            return json_encode($value) . "\n" . json_encode($value, PLAIN);
        case 'p':
            return msgpack_pack((new Maker((int) $bytes, 'msgpack'))->value());
        case 'P':
            return walk((new Maker((int) $bytes, 'msgpack'))->value(), 0, true);
        case 'q':                       // packed by ferry or PHP only: it dies of what is wrong
            return walk(msgpack_unpack($bytes));
        case 'l':
            return walk(msgpack_unpack($bytes), 0, true);
        case 'Q':
            return msgpack_pack(msgpack_unpack($bytes));
        case 'e':                       // an expression of PHP
            return msgpack_pack(eval("return $bytes;"));
        case 'E':
            return walk(eval("return $bytes;"), 0, true);
    }

    return false;
}

if (!extension_loaded($argv[1])) {
    exit('-');
}
while (strlen($head = (string) stream_get_contents(STDIN, 5)) === 5) {
    $size = unpack('V', $head, 1)[1];
    $bytes = $size > 0 ? stream_get_contents(STDIN, $size) : '';
    try {
        $answer = answer($head[0], $bytes);
    } catch (Throwable) {
        $answer = false;
    }
    fwrite(STDOUT, pack('CV', $answer !== false, strlen((string) $answer)) . $answer . '.');
}
