<?php
/* The side of PHP of the codec benchmark: reads "CODEC decode|encode FILE LOOPS" by lines, answers with the nanoseconds of CPU
 * time that one takes, or "no" and the reason. A value that stands encoded is what json_decode() makes of the file. */
namespace App\Messages {
        class TaskMessage
        {
                public $action, $id, $progress, $tags, $parameters;
        }
}

namespace {
        const JSON_FLAGS = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION;

        function cpu_time(): int
        {
                $usage = getrusage();
                return ($usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec']) * 1000000 + $usage['ru_utime.tv_usec'] +
                        $usage['ru_stime.tv_usec'];
        }

        function value_of(string $file, string $codec): mixed
        {
                $value = json_decode(file_get_contents($file), true);
                if ($codec === 'json' || !isset($value['__class']))
                        return $value;
                $object = new $value['__class'];
                unset($value['__class']);
                foreach ($value as $name => $part)
                        $object->$name = $part;
                return $object;
        }

        $functions = [
                'php' => [unserialize(...), serialize(...)],
                'igbinary' => function_exists('igbinary_serialize') ? [igbinary_unserialize(...), igbinary_serialize(...)] : null,
                'msgpack' => function_exists('msgpack_pack') ? [msgpack_unpack(...), msgpack_pack(...)] : null,
                'json' => [fn($bytes) => json_decode($bytes, true), fn($value) => json_encode($value, JSON_FLAGS)],
        ];
        $kept = [];
        while (($line = fgets(STDIN)) !== false) {
                [$codec, $work, $file, $loops] = explode(' ', trim($line));
                if (!$functions[$codec]) {
                        echo "no\n";
                        continue;
                }
                [$decode, $encode] = $functions[$codec];
                $kept["$codec $file"] ??= [$value = value_of($file, $codec), $encode($value)];
                [$value, $bytes] = $kept["$codec $file"];
                $begin = cpu_time();
                if ($work === 'bytes')
                        echo bin2hex($bytes), "\n";
                elseif ($codec === 'json') {
                        /* The plain calls: a closure around them would be measured, too. */
                        if ($work === 'decode')
                                for ($i = 0; $i < $loops; $i++) $result = json_decode($bytes, true);
                        else
                                for ($i = 0; $i < $loops; $i++) $result = json_encode($value, JSON_FLAGS);
                } elseif ($codec === 'php') {
                        if ($work === 'decode')
                                for ($i = 0; $i < $loops; $i++) $result = unserialize($bytes);
                        else
                                for ($i = 0; $i < $loops; $i++) $result = serialize($value);
                } elseif ($work === 'decode')
                        for ($i = 0; $i < $loops; $i++) $result = $decode($bytes);
                else
                        for ($i = 0; $i < $loops; $i++) $result = $encode($value);
                if ($work !== 'bytes')
                        printf("%.3F\n", (cpu_time() - $begin) * 1000 / $loops);
                unset($result, $value, $bytes);
        }
}
