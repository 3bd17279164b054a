// A verifier that shares no code with the project: Go's sumdb/note and sumdb/tlog over what the command wrote. Used by
// apps/cli/test/interop.heavy.test.ts and bundleInterop.heavy.test.ts; built offline from Debian's golang-golang-x-mod-dev.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	if len(os.Args) < 2 {
		fail("usage: verify checkpoint|tiles|events|proof|consistency|cosignature ...")
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "checkpoint": // NOTE VKEYS
		tree, origin := open(read(args[0]), read(args[1]))
		fmt.Printf("checkpoint of %s, size %d, root %s\n", origin, tree.N, tree.Hash)
	case "tiles": // FOLDER [STRIDE]
		stride := int64(1)
		if len(args) > 1 {
			n, err := strconv.ParseInt(args[1], 10, 64)
			check(err)
			stride = n
		}
		tiles(args[0], stride)
	case "events": // BUNDLE
		events(args[0])
	case "proof": // TLOG-PROOF VKEYS ENTRY
		proof(string(read(args[0])), read(args[1]), read(args[2]))
	case "consistency": // ADD-CHECKPOINT VKEYS OLD-NOTE
		consistency(string(read(args[0])), read(args[1]), read(args[2]))
	case "cosignature": // NOTE VKEY
		cosignature(string(read(args[0])), args[1])
	default:
		fail("unknown command " + os.Args[1])
	}
}

func open(text, vkeys []byte) (tlog.Tree, string) {
	var known []note.Verifier
	for _, vkey := range strings.Fields(string(vkeys)) {
		verifier, err := note.NewVerifier(vkey)
		check(err)
		known = append(known, verifier)
	}
	opened, err := note.Open(text, note.VerifierList(known...))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != opened.Sigs[0].Name {
		fail("not a checkpoint by its origin")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: root}, lines[0]
}

type folder struct{ path string }

func (f folder) Height() int                     { return height }
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(f.path, c2sp(tile)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// The C2SP path is Go's without the height.
func c2sp(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

func entries(path string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		width := size - n*256
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: height, L: 0, N: n, W: int(width)}
		data := read(filepath.Join(path, strings.Replace(c2sp(tile), "tile/0/", "tile/entries/", 1)))
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	return all
}

func tiles(path string, stride int64) {
	tree, origin := open(read(filepath.Join(path, "checkpoint")), read(filepath.Join(path, "log.vkey")))
	reader := tlog.TileHashReader(tree, folder{path})
	leaves := entries(path, tree.N)
	if int64(len(leaves)) != tree.N {
		fail(fmt.Sprintf("%d entries in the bundles of a tree of %d", len(leaves), tree.N))
	}
	records, trees := 0, 0
	for n := int64(0); n < tree.N; n += stride {
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(leaves[n])))
		records++
	}
	for n := int64(1); n <= tree.N; n += stride {
		old, err := tlog.TreeHash(n, reader)
		check(err)
		proof, err := tlog.ProveTree(tree.N, n, reader)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, n, old))
		trees++
	}
	fmt.Printf("tiles of %s: %d records and %d earlier trees proved\n", origin, records, trees)
}

// Every line of events.jsonl in its place in the signed tree, by the tiles of the bundle alone.
func events(path string) {
	tree, origin := open(read(filepath.Join(path, "checkpoint")), read(filepath.Join(path, "log.vkey")))
	reader := tlog.TileHashReader(tree, folder{path})
	count := 0
	for _, line := range strings.Split(strings.TrimSuffix(string(read(filepath.Join(path, "events.jsonl"))), "\n"), "\n") {
		var event struct {
			Sequence string
			Data     struct{ Entry string }
		}
		check(json.Unmarshal([]byte(line), &event))
		n, err := strconv.ParseInt(event.Sequence, 10, 64)
		check(err)
		found, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		check(err)
		if found[0] != tlog.RecordHash([]byte(event.Data.Entry)) {
			fail(fmt.Sprintf("the tree has another record at %d", n))
		}
		count++
	}
	fmt.Printf("%d events of %s stand in the tree of %d\n", count, origin, tree.N)
}

func hashes(lines []string) []tlog.Hash {
	var all []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		check(err)
		all = append(all, hash)
	}
	return all
}

func proof(text string, vkeys, entry []byte) {
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok {
		fail("no blank line in the proof")
	}
	tree, _ := open([]byte(checkpoint), vkeys)
	lines := strings.Split(head, "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("no tlog-proof")
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	check(err)
	check(tlog.CheckRecord(hashes(lines[2:]), tree.N, tree.Hash, n, tlog.RecordHash(entry)))
	fmt.Printf("record %d of %d proved\n", n, tree.N)
}

func consistency(text string, vkeys, oldNote []byte) {
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok {
		fail("no blank line in the request")
	}
	tree, _ := open([]byte(checkpoint), vkeys)
	old, _ := open(oldNote, vkeys)
	lines := strings.Split(head, "\n")
	n, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	check(err)
	if n != old.N {
		fail("the request continues another size")
	}
	check(tlog.CheckTree(hashes(lines[1:]), tree.N, tree.Hash, old.N, old.Hash))
	fmt.Printf("tree of %d continues tree of %d\n", tree.N, old.N)
}

// The library knows no cosignatures; crypto/ed25519 and the specification do.
func cosignature(text, vkey string) {
	parts := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	check(err)
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if key[0] != 4 || fmt.Sprintf("%x", id[:4]) != parts[1] {
		fail("not the verifier key of a cosigner")
	}
	body, signatures, ok := strings.Cut(text, "\n\n")
	if !ok {
		fail("no blank line in the note")
	}
	for _, line := range strings.Split(signatures, "\n") {
		words := strings.Fields(line)
		if len(words) != 3 || words[1] != parts[0] {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(words[2])
		check(err)
		if !bytes.Equal(data[:4], id[:4]) || len(data) != 4+8+64 {
			continue
		}
		time := binary.BigEndian.Uint64(data[4:])
		message := fmt.Sprintf("cosignature/v1\ntime %d\n%s\n", time, body)
		if !ed25519.Verify(ed25519.PublicKey(key[1:]), []byte(message), data[12:]) {
			fail("the cosignature is wrong")
		}
		fmt.Printf("cosigned by %s at %d\n", parts[0], time)
		return
	}
	fail("no cosignature of that key")
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "verify: "+message)
	os.Exit(1)
}
