package trace

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// machineCases are instructions that a compiler or a library may use to store, and some that only look so. Before them:
// RAX is the file, RDI the file + 4096, RSI private bytes, RCX 10, RDX -1, RBX 0. stores are the file offsets of the
// first byte that each store changes.
var machineCases = []struct {
	assembly, code string
	needs          string // CPU feature
	stores         []uint64
}{
	{"mov [rax], rcx", "488908", "", []uint64{0}},
	{"mov byte ptr [rax+5], 1", "c6400501", "", []uint64{5}},
	{"mov word ptr [rax+rcx*2+0x10], 0x1234", "66c74448103412", "", []uint64{36}},
	{"mov r8, rax; mov r9, rcx; mov dword ptr [r8+r9*8-16], 1", "4989c04989c943c744c8f001000000", "", []uint64{64}},
	{"mov r12, rax; mov r13, rax; mov [r12], rcx; mov [r13+8], rcx", "4989c44989c549890c2449894d08", "", []uint64{0, 8}},
	{"mov qword ptr [rcx+rax*1+0x1000], -1", "48c7840100100000ffffffff", "", []uint64{4106}},
	{"add dword ptr [rax], 1", "830001", "", []uint64{0}},
	{"lock xadd [rax+8], rcx", "f0480fc14808", "", []uint64{8}},
	{"xchg [rax+16], rcx", "48874810", "", []uint64{16}},
	{"not byte ptr [rax+3]", "f65003", "", []uint64{3}},
	{"inc qword ptr [rax+24]", "48ff4018", "", []uint64{24}},
	{"or dword ptr [rax], 8; shl dword ptr [rax], 1", "830808d120", "", []uint64{0, 0}},
	{"or qword ptr [rax], 1; shld [rax], rdx, 4", "48830801480fa41004", "", []uint64{0, 0}},
	{"bts qword ptr [rax], rcx", "480fab08", "", []uint64{1}},
	{"mov ecx, 1000; bts qword ptr [rax], rcx", "b9e8030000480fab08", "", []uint64{125}},
	{"mov rcx, -1; bts qword ptr [rdi], rcx", "48c7c1ffffffff480fab0f", "", []uint64{4095}},
	{"mov ecx, -33; btc dword ptr [rdi], ecx", "b9dfffffff0fbb0f", "", []uint64{4091}},
	{"bts dword ptr [rax], 20", "0fba2814", "", []uint64{2}},
	{"test edx, edx; setnz byte ptr [rax+9]", "85d20f954009", "", []uint64{9}},
	{"mov r8, rax; xor eax, eax; lock cmpxchg [r8+32], rcx", "4989c031c0f0490fb14820", "", []uint64{32}},
	{"mov r8, rax; xor eax, eax; xor edx, edx; mov ebx, 5; mov ecx, 6; lock cmpxchg16b [r8+64]", "4989c031c031d2bb05000000b906000000f0490fc74840", "cx16", []uint64{64}},
	{"mov r8, rax; mov eax, 1; lock cmpxchg [r8+32], rcx", "4989c0b801000000f0490fb14820", "", nil},
	{"push rcx; pop qword ptr [rax+40]", "518f4028", "", []uint64{40}},
	{"lea rcx, [rax+8]; nop dword ptr [rax+8]; prefetcht0 [rax]; mov rdx, [rax]; cmp [rax], rdx", "488d48080f1f40080f1808488b10483910", "", nil},
	{"movups xmm0, [rsi]; movups [rax+1], xmm0", "0f10060f114001", "", []uint64{1}},
	{"movups xmm0, [rsi]; movsd [rax+8], xmm0; movhps [rax+24], xmm0", "0f1006f20f1140080f174018", "", []uint64{8, 24}},
	{"movups xmm0, [rsi]; movntdq [rax+16], xmm0; movnti [rax+48], rcx", "0f1006660fe74010480fc34830", "", []uint64{16, 48}},
	{"movups xmm0, [rsi]; pcmpeqb xmm1, xmm1; maskmovdqu xmm0, xmm1", "0f1006660f74c9660ff7c1", "", []uint64{4096}},
	{"movups xmm0, [rsi]; pextrb byte ptr [rax+7], xmm0, 3", "0f1006660f3a14400703", "sse4_1", []uint64{7}},
	{"fld1; fstp qword ptr [rax+8]", "d9e8dd5808", "", []uint64{14}},
	{"fnsave [rax]", "dd30", "", []uint64{0}},
	{"fxsave [rax+512]", "0fae8000020000", "", []uint64{512}},
	{"mov r8, rax; mov eax, 7; xor edx, edx; xsave [r8+1024]", "4989c0b80700000031d2410faea000040000", "xsave", []uint64{1024}},
	{"stmxcsr [rax+4]", "0fae5804", "", []uint64{4}},
	{"mov eax, 0x11; stosb", "b811000000aa", "", []uint64{4096}},
	{"mov eax, 1; rep stosd", "b801000000f3ab", "", every(4096, 4, 10)},
	{"movsb; movsw", "a466a5", "", []uint64{4096, 4097}},
	{"rep movsq", "f348a5", "", every(4096, 8, 10)},
	{"lea rsi, [rsi+10]; mov ecx, 3; std; rep movsb", "488d760ab903000000fdf3a4", "", []uint64{4096, 4095, 4094}},
	{"xor ecx, ecx; rep stosb", "31c9f3aa", "", nil},
	{"mov ecx, 3; repne scasb; mov ecx, 3; repe cmpsb; lodsb", "b903000000f2aeb903000000f3a6ac", "", nil},
	{"movbe [rax+2], rcx", "480f38f14802", "movbe", []uint64{9}},
	{"vmovdqu ymm0, [rsi]; vmovdqu [rax+32], ymm0; vzeroupper", "c5fe6f06c5fe7f4020c5f877", "avx", []uint64{32}},
	{"mov r9, rcx; vmovups xmm9, [rsi]; vmovups [rax+r9*8+64], xmm9; vzeroupper", "4989c9c578100ec42178114cc840c5f877", "avx", []uint64{144}},
	{"vmovdqu ymm0, [rsi]; vextracti128 [rax+16], ymm0, 1; vzeroupper", "c5fe6f06c4e37d39401001c5f877", "avx2", []uint64{16}},
	{"vmovdqu ymm0, [rsi]; vpcmpeqd ymm1, ymm1, ymm1; vmaskmovps [rax+8], ymm1, ymm0; vzeroupper", "c5fe6f06c5f576c9c4e2752e4008c5f877", "avx2", []uint64{8}},
	{"vmovdqu xmm0, [rsi]; vpcmpeqd xmm1, xmm1, xmm1; vmaskmovdqu xmm0, xmm1; vzeroupper", "c5fa6f06c5f176c9c5f9f7c1c5f877", "avx", []uint64{4096}},
	{"vmovdqu64 zmm0, [rsi]; vmovdqu64 [rax+64], zmm0; vzeroupper", "62f1fe486f0662f1fe487f4001c5f877", "avx512f", []uint64{64}},
	{"vmovdqu64 zmm17, [rsi]; vmovss dword ptr [rax+4], xmm17; vmovsd qword ptr [rax+rcx*8+16], xmm17; vzeroupper", "62e1fe486f0e62e17e0811480162e1ff08114cc802c5f877", "avx512f", []uint64{4, 96}},
	{"vmovdqu64 zmm0, [rsi]; mov ecx, 6; kmovw k1, ecx; vmovdqu32 [rax+128]{k1}, zmm0; vzeroupper", "62f1fe486f06b906000000c5f892c962f17e497f4002c5f877", "avx512f", []uint64{132}},
	{"vmovdqu64 zmm0, [rsi]; mov ecx, 6; kmovw k1, ecx; vpcompressd [rax+4]{k1}, zmm0; vzeroupper", "62f1fe486f06b906000000c5f892c962f27d498b4001c5f877", "avx512f", []uint64{4}},
	{"vmovdqu64 zmm0, [rsi]; vpxord zmm1, zmm1, zmm1; mov ecx, 1; kmovw k1, ecx; vpscatterdd [rax+zmm1*4+256]{k1}, zmm0; vzeroupper", "62f1fe486f0662f17548efc9b901000000c5f892c962f27d49a0448840c5f877", "avx512f", []uint64{256}},
	{"mov ecx, 5; kmovw k1, ecx; kmovq [rax+8], k1", "b905000000c5f892c9c4e1f8914808", "avx512bw", []uint64{8}},
	{"mov [rax+64], rcx; add rax, 70; clzero", "488948404883c0460f01fc", "clzero", []uint64{64, 64}},
}

func every(from, step uint64, n int) (all []uint64) {
	for range n {
		all = append(all, from)
		from += step
	}
	return all
}

func TestEveryFormOfStoreIsFoundAndNothingElse(t *testing.T) {
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	tr := newTracer(t)
	for _, c := range machineCases {
		t.Run(c.assembly, func(t *testing.T) {
			if c.needs != "" && !strings.Contains(string(cpu), " "+c.needs+" ") {
				t.Skipf("this CPU has no %s", c.needs)
			}
			path := newRegion(t, regionSize)
			rec := record(t, tr, "machine", path+" "+c.code, Options{})
			var got []uint64
			for _, p := range rec.Points {
				var off uint64
				_, at, _ := strings.Cut(p.Effect, "+")
				if _, err := fmt.Sscanf(at, "0x%x]", &off); err != nil || p.Kind != Store {
					t.Errorf("%v", p)
				}
				got = append(got, off)
			}
			if !slices.Equal(got, c.stores) {
				t.Errorf("stores at %v, recorded %v:\n%v", c.stores, got, rec.Points)
			}
			if rec.Unexplained != 0 || rec.Nameless != 0 || rec.Stores != len(c.stores) {
				t.Errorf("counts: %+v", rec)
			}
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Blocks*512 > 8192 {
				t.Errorf("%d bytes allocated by looking, %v", st.Blocks*512, err)
			}
			if scatter := strings.Contains(c.assembly, "scatter"); scatter != (rec.Compared > 0) {
				t.Errorf("%d instructions found by comparing", rec.Compared)
			}
		})
	}
}
