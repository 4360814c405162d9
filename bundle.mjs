// What is run: the compiled program in a few files instead of five hundred, in dist/program. A start spends half its time on
// finding, opening and compiling single files; on a memory card it is more. Run by `npm run build`.
import { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const OUT = 'dist/program';

// Names of chunks hold a hash: old ones would stay for ever.
rmSync(OUT, { recursive: true, force: true });
const { metafile } = await build({
  metafile: true,
  // Children are started by the name of their file, from beside whoever starts them: see storage/compiled-path.ts.
  entryPoints: {
    main: 'dist/cli/main.js',
    'verify-child': 'dist/storage/verify/verify-child.js',
    'salvage-child': 'dist/storage/salvage/salvage-child.js',
  },
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // Native code finds its binary beside its own package; the brokers' libraries are the gateway's alone. The last two are
  // optional to ws, and not installed.
  external: ['lmdb', 'serialport', 'aedes', 'mqtt', 'bufferutil', 'utf-8-validate'],
  // CommonJS packages ask for node's modules by require.
  banner: {
    js: "import { createRequire as requireOfBundle } from 'node:module'; const require = requireOfBundle(import.meta.url);",
  },
  logLevel: 'warning',
});
chmodSync(`${OUT}/main.js`, 0o755);
writeFileSync(`${OUT}/THIRD-PARTY-LICENSES`, licensesOf(Object.keys(metafile.inputs)).join('\n\n'));

/** Of the packages whose code is among the files. */
function licensesOf(files) {
  const packages = new Set(
    files.flatMap((file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []),
  );
  return [...packages].map((folder) => {
    const name = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (name === undefined) throw new Error(`${folder} is bundled and has no licence file`);
    return `${folder.slice('node_modules/'.length)}\n\n${readFileSync(`${folder}/${name}`, 'utf8').trim()}\n`;
  });
}
