"""Numba's and JAX's caches: what Numba 0.68.1 and JAX 0.10.2 wrote on a CPU, byte for byte."""

from __future__ import annotations

import base64
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.kernelcache import environments
from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location
from cachetop.prune.undo import undo
from support.pruning import carry_out, picture, plan_kernels, state

Look = Callable[..., Kernels]

# The index of `def total(x)`, line 6 of n.py, compiled for one array of float64. Compressed here.
INDEX = zlib.decompress(
    base64.b85decode(
        """
c-m!CzmMcJ6y6j210g|!4&6x<TP{ozC7H}j(j8hvvw#E@-O6_CiP_lk+D<0366hp!w-
hNr=aVRCXrV<X3K|+}Dv+q?5fXm_&zT=W+9{sD_w4!J_dYw1kDkABu=x$gaWv1P#6^z}pZ{^RDW0ExQ~gSQ{O9ZM-
~aOLi@(16>EB;oeEyqw^5W00et!3(w}1ck+<oSThq4tIMWoR*vTH?6gs`z15$lH6FMZ`wQ_@JNwZt~sJ#)heY1CTNr5j$myLp#Ts`UumaP*GWX
zfqEj9Xq?E}?kb;7=*Ed*(j81x07WQR$Dn>aaQ)9^7Fw1l34;viIr+`M*`KZvS{Fk)R-
t`HgwzyKuYWrLEk>qv7b1G$nNxZ??DYV+V&zF5Jbv;kZWYriF3uoxAFd;Xd*j&$b-
FX;KEK=Wn^{;Rk=8jQ@P%h6jB<zno`bE3ag;l3~qd+lNcp!ZbIsqdIe+{P5Dj!DOC+f?$Hm9s)H%h(sTvuAe3824j}YH;6Ps)wJIvOzp}{<r~1
I-6GL+dP`;5bW3D;O`%8U3A#RsqhtrtvAl`UckH;s+@gB9&sIA`${i}NcZdaB;iI-~ku!mIxWj_~AMZPM^&UydcQl<!VI-;z-
2HxEHHt_JP5q&f+ym*~7`ST3Y)|3=P>fFPvpkrLIz|B@Awod}?W8WLXe@X{YF4+VYLxYOg?+rCx`7p(g_A-N(xVbQAew-
`6Vm&MNe}+hrP2`PH4(56RuYI_CWH*2SsIKCbYZ>G!DPw2)=E=Dp&OT-BD@U3t2zkll?o>H4U8L1gn;(}%`px9?Ur1_!`VR|>~37F5Vvr_610V
q1rtST(E^tOe;8i^xN4y~nh1%4vr1D&Evdi~r5UMKP_iq{!HH0T4Jn)kqcm!`SE5Vh1;V0RpJ`e8#Zc<2Rs<7+DzMW~%~8#7fW<69ys5wg2>xM
1V(b;9V(J6fV!R^|(lJiQn86F(tea|v{Ni^*iv<MJ*QM3K(}FTEy@j5_o7(v=Y0_<mzxI#C`=YL3{uP!mM+aKrv!~wXz5$zigF3oh$aWp?e?;K
yP3vym@F-_APGVNzJf1De8O~EQ23EvLjx&VPg2q`^#wai86fI)L7I?-
ei*Y%nX$ll{ier*xX^}IMkR&S*!z?3tQOp@G(kxvdnk6)wX9X^%89`YwD~bd!@>z=W*~~rlO76?ZHt=nR^GL0yNfITI#Kf7WF8U7xZxg%
""".replace("\n", "")
    )
)
# The file of `jit_convert_element_type`, as it was.
EXECUTABLE = base64.b85decode(
    """
c%1E5&u=2x5v~FZxUr#Weq&&*Q4ZD^#y0kPElW|NJw>A^S#6F{)Y~)-v`sfX-
3?}ZNk=(^L|Mu4AwnBPA~~Tsp*f+PIHJ|8#F6C0B@)^bM{AWRscyjdkogCqK~2^7>ec&Ry?WJ;2LJ%?cXQj?m2UEKMK_<b3~(-g;F-
59wPaB$Lh%{1&*Yd`yDnT_+Af!upIv=!{#bb3Xqwy><F*hllUK6Iiw(6U5sy@t6iGFC^R*_u1m?F<=FbfCFJ#{9#Ca7#R$rW?|A@>Aa-
T5Uf?hTFW1bq@nxG4cWJ-
G4#|EA|Q*LuU+u`TOzv#MtWmy*cR}b880hebyVnch)IdbC;UDvN2FW1%+?`K(N?ZK@<dNc6>9y^1c#s7z!OFKTsOO9dv$n7wU!|Hf{3b)&SWHI
e#5bhDaLg4=7XWqlHj|X^xU%2$Y`ySBUb>Ym7-@1b@j>KkJ;EnP%UzbY*4-
P#z^5ED59WQjf(DTB;i(@ZL2>W2<!?6!1KAieI3m<m;*!4rt|DW{-
$9|ajVdjU$6Qi{a{cV_U|HiUHU1nqNF*smw!eBoDg8+;JI0?Ws0J8wj1Gos_bO+`;XzgxwcJY1}db>75-
;twT9Ph$(7px$B8T{tm?|;w@LN7>(@eG4F4Z<u4^Wb`_Us@p;gkTuLQ3xg>oQ6WP5X?ik2*E=LEEYN}+_Szdm*4H%#x9FJmVd*-
fQ2#J`_emQVaCFo1uKl5Fx-WqABIsFr{VG}4D&ENgu&wAj)N`-
eU2S)?hyww4(A+L5$r^u7qMJ#BOf1`igt8;dQ_Fvqbs3(MCHy`wI;7gI$voTazo{Xrr9u?s>F+eSd;j&tPdmXC<4<6{4?^+yLaE8M_>`z>PGi_
Q5;5@Q8YJ>!ZiBBZ=<k?!b23S7<OXNjXlY94Eiw~#BdmcQ4Gd0n8sihgLw=VF?fhUCl0+hzKKVeU9r|wuX#<EG`?wYuENQic${IERztp(_|j`r
T6K^+MQ=FatBta>v?iFaDvEW!q49O0sfx8nq9_woWsx^DNh<TzlD0DMFkam>S6;(7PU1L?!#oa)I9Lg|OF%CHg9Ho{I7;Bx379188ki<vmVkKz
7YX<-0ag;aN$e$|pTt2Dhso$Dc`#1GGzs%0bW+ewK`-SRq~LEU7^PsG!bu9JDVU{To`OXRI_ZPEbhMj>UK;ypc$;>6w%p@1PSP+-
!#oWSX|VR7yNA6!?C;@VuM-
^Z!DtW0dobGrD+8Sjm7wb`gI{IbvRdh7pr3(328J0JWni3vX=Z<x!Fk4FAILlFy31le3xg~SvoOlSIE&LP%(A%1!b29V9Ny)yn{)MY(9hu@2g4
kUaxl)pBnPt`%yZcP2nQd5wg2=y_y;2X&V_jA!nZCMxw2oofcunTSWnu!@0=mb4msN`=P*g{u$~Ki>GfmMvmZ!1eFyl`W4E5WImG8%bp9Y5xQd
@KKUtl9`z!t46Swp|CcHV0ysRgQ`vESrF?m?xfBA18lWbp{^XF#;Dl)ZkqZaD2+H4o9YLoNc+Pr7!sqgUotR$QHL!sOzAsHlEZATOx`SD4yR5>
|+#Ih;WtB<XlH4@8fRDQKal{Jtnim=A5k|ICFkF&Juk4RNFE?PqqRnsPQ1};a4^-8^I)Eb&;<C~H#Zza7!T4}UM>f)*G*0uu|+ZXvmT7pQ@j-
z5!jgnwUgxZFlKde^l>14H~i88ICeoOP^4;6*7Kx8HI)5N;cr0|xpkk+M&q!-
jip(>a)Nq=fFM8Pzdrixgj{OD!Prq#>3>L`QW()^(z)F?ehO|XSwUX!vTB2jeYsUy!`oUHWHdS<&Xdt1(4wU(j1vh&k6gqE~Y;z~Oia*&ZP2ui
!K%<2+5`|2REp=fofy=+vpwYj2QEP<?=D?}O5S5#)@bVX#!bt!LCpBz)bD^Sd@CR_2XwzEiFl5R+%>DZjouz@PAYTao$C9noGV#Tm(Q7odUXe2
B2t(PUGVNw8O62-
PqF6RqURntkTuSA7fG{;%KP}3ztBKj*u6H2s(>w3OWzabV{6a600d$5Lbe!WiRMvzU)i)xdqG@C|IR^%#y>m~_}`kcKt#Tt#$%o|;{L!sllR-
|&FB<MneLMC0-bQ+?YO1@x7x-8V`*e6&e3aSHVR}AIU78I;mA~(}$*UP4Uoi8+rf)>=IfeO`Z!46BirZ8?wD$%znx*NGH*-
L6SXi2xt&wnZvluN0g6+bz?JT1~=!;=jxUY?)PQ;=8cq<C>j-
$Lc$*wHFA&uw?={23XzzxdOC@ISeLY;HmyZa*JxKOb&C|ChHP`yb9RzTDh_N{IJ#4eBBe5yzN4*i^)i@V`-+h<*
""".replace("\n", "")
)
MODULE = "jit_convert_element_type"
HASH = "258557edb15a0873e79ab1a29a7332d7af7ea0cdd85e6b50d1726ba152f4fa97"
STEM = "n.total-6.py311"


@pytest.fixture
def numba(tmp_path: Path) -> Path:
    folder = tmp_path / "numba" / "gen_85c7bedc52c0655496f6bde1e08301b7c0c82ace"
    folder.mkdir(parents=True)
    (folder / f"{STEM}.nbi").write_bytes(INDEX)
    (folder / f"{STEM}.1.nbc").write_bytes(b"x" * 11650)
    return folder


@pytest.fixture
def jax(tmp_path: Path) -> Path:
    folder = tmp_path / "jax"
    folder.mkdir()
    (folder / f"{MODULE}-{HASH}-cache").write_bytes(EXECUTABLE)
    (folder / f"{MODULE}-{HASH}-atime").write_bytes(time.time_ns().to_bytes(8, "little"))
    (folder / ".lockfile").touch()
    return folder


def test_a_numba_function_is_one_entry(numba: Path, look: Look) -> None:
    (entry,) = look(numba.parent, "numba").entries
    assert (entry.name, entry.key, entry.part, entry.state) == ("n.total", STEM, "function", "complete")
    assert (entry.target, entry.sm, entry.files, entry.stale) == ("znver4", (), 2, ())
    assert entry.size_on_disk == sum(file.stat().st_blocks * 512 for file in numba.iterdir())
    assert entry.path == f"{numba.name}/{STEM}"


def test_numba_reads_only_what_its_own_release_made(
    numba: Path, look: Look, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rules(release: str) -> list[str]:
        packages = world / "venvs" / release / "lib" / "python3.11" / "site-packages"
        (packages / f"numba-{release}.dist-info").mkdir(parents=True)
        monkeypatch.setattr(environments, "_found", None)
        monkeypatch.setattr(environments, "_prefixes", lambda env: [str(one) for one in (world / "venvs").iterdir()])
        (entry,) = look(numba.parent, "numba").entries
        assert entry.producer.package == "numba 0.68.1"
        return [one.rule for one in entry.stale]

    assert rules("0.69.0") == ["toolchain-gone"] and rules("0.68.1") == []


def test_what_numba_adds_is_seen_and_what_is_foreign_is_said_not_understood(numba: Path) -> None:
    scanner = Scanner([Location("numba", str(numba.parent), "")])
    (before,) = scanner.scan().entries
    (numba / f"{STEM}.2.nbc").write_bytes(b"x")
    (numba / "n.add-4.py311.nbi.tmp.0123456789abcdef").write_bytes(b"x")
    (numba / "notes.txt").write_bytes(b"x")
    found = {entry.key: entry for entry in scanner.scan(quick=True).entries}
    assert found[STEM].files == before.files + 1
    assert found["n.add-4.py311"].state == "compiling"
    assert (found["notes.txt"].state, found["notes.txt"].part) == ("opaque", "contents not understood")
    old = time.time() - 3600
    os.utime(numba / "n.add-4.py311.nbi.tmp.0123456789abcdef", (old, old))
    found = {entry.key: entry for entry in scanner.scan(quick=True).entries}
    assert found["n.add-4.py311"].state == "orphan"
    assert scanner.owner("numba", f"{numba.name}/{STEM}.2.nbc") == found[STEM].path


def test_a_jax_executable_is_one_entry(jax: Path, look: Look) -> None:
    (entry,) = look(jax, "jax").entries
    assert (entry.name, entry.key, entry.part) == (MODULE, f"{MODULE}-{HASH}", "executable")
    assert (entry.target, entry.files, entry.build_milliseconds) == ("znver4", 2, None)
    (jax / f"{MODULE}-{HASH}-cache").write_bytes(
        zlib.compress((7).to_bytes(4, "big") + zlib.decompress(EXECUTABLE)[4:])
    )
    (jax / "xla_gpu_per_fusion_autotune_cache_dir").mkdir()
    (jax / "xla_gpu_per_fusion_autotune_cache_dir" / "x").write_bytes(b"x")
    found = {entry.name: entry for entry in look(jax, "jax").entries}
    assert found[MODULE].build_milliseconds == 7000
    assert (found[None].part, found[None].files) == ("contents not understood", 1)


@pytest.mark.parametrize("kind", ["numba", "jax"])
def test_show_finds_the_files(kind: str, numba: Path, jax: Path) -> None:
    scanner = Scanner([Location(kind, str(numba.parent if kind == "numba" else jax), "")])
    (entry,) = scanner.scan().entries
    found = describe(entry, scanner)
    assert sum(stage.size for stage in found.stages) == (len(INDEX) + 11650 if kind == "numba" else len(EXECUTABLE) + 8)
    assert not found.problems


@pytest.mark.parametrize("kind", ["numba", "jax"])
def test_a_read_after_it_was_made_is_a_use(kind: str, numba: Path, jax: Path, look: Look) -> None:
    root, witness = (numba.parent, numba / f"{STEM}.nbi") if kind == "numba" else (jax, jax / f"{MODULE}-{HASH}-cache")
    moment = time.time()
    os.utime(witness, (moment - 1000, moment - 1000))
    (unused,) = look(root, kind).entries
    os.utime(witness, (moment - 50, moment - 1000))
    (used,) = look(root, kind).entries
    if unused.reused is not None:  # a mount without access times tells nothing
        assert (unused.reused, used.reused) == (False, True)
        assert used.last_used == pytest.approx(moment - 50, abs=1)


def test_a_function_goes_with_its_data_and_its_neighbours_stay(numba: Path) -> None:
    (numba / "n.total2-6.py311.nbi").write_bytes(INDEX)
    (numba / "notes.txt").write_bytes(b"x")
    draft = plan_kernels(numba.parent, STEM, kind="numba")
    mine = [path.lstat().st_blocks * 512 for path in numba.iterdir() if path.name.startswith(f"{STEM}.")]
    assert len(draft.plan.items) == 1 and draft.plan.frees == sum(mine)
    result = carry_out(draft)
    assert result.freed == draft.plan.frees and not result.failed
    assert sorted(path.name for path in numba.iterdir()) == ["n.total2-6.py311.nbi", "notes.txt"]
    everything = plan_kernels(numba.parent, kind="numba", all=True)
    assert [Path(one.path).name for one in everything.plan.blocked] == ["notes.txt"]
    assert "not understood" in everything.plan.blocked[0].reason


def test_an_executable_goes_with_its_access_time_and_comes_back(jax: Path) -> None:
    before = picture(jax)
    draft = plan_kernels(jax, kind="jax", all=True)
    assert not draft.plan.blocked and len(draft.plan.items) == 1
    carry_out(draft, now=False)
    assert [path.name for path in jax.iterdir() if not path.name.startswith(".cachetop")] == [".lockfile"]
    undo(state())
    assert picture(jax) == before


@pytest.mark.parametrize("cut", [0, 1, 3, 12, 30, 300])
def test_damaged_files_are_rows_that_say_less(cut: int, numba: Path, jax: Path, look: Look) -> None:
    (numba / f"{STEM}.nbi").write_bytes(INDEX[:cut])
    (jax / f"{MODULE}-{HASH}-cache").write_bytes(EXECUTABLE[:cut])
    for root, kind in ((numba.parent, "numba"), (jax, "jax")):
        (entry,) = look(root, kind).entries
        assert (entry.target, entry.state) == (None, "complete")


def test_a_bomb_and_a_loop_are_only_rows(jax: Path, look: Look) -> None:
    (jax / f"bomb-{'0' * 64}-cache").write_bytes(zlib.compress(bytes(64 << 20), 9))
    (jax / f"loop-{'0' * 64}-cache").symlink_to("/dev/zero")
    began = time.perf_counter()
    assert len(look(jax, "jax").entries) == 3
    assert time.perf_counter() - began < 5
