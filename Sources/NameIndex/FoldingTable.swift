// The base letters of Latin letters: their compatibility decomposition without marks (Unicode 15), and the usual one or two letters for
// those that have none. Two bytes a letter, in the order of code points; two spaces where there is nothing to fold.

/// U+00C0 to U+024F.
let latinBaseLetters: StaticString = """
    A A A A A A AEC E E E E I I I I D N O O O O O   O U U U U Y THss\
    a a a a a a aec e e e e i i i i d n o o o o o   o u u u u y thy \
    A a A a A a C c C c C c C c D d D d E e E e E e E e E e G g G g \
    G g G g H h H h I i I i I i I i I i IJijJ j K k k L l L l L l   \
      L l N n N n N n n N n O o O o O o OEoeR r R r R r S s S s S s \
    S s T t T t T t U u U u U u U u U u U u W w Y y Y Z z Z z Z z s \
    b B B b     O C c D D D d d E E E F f G   hvI I K k l l M N n O \
    O o OIoiP p R         t T t T U u U V Y y Z z                 w \
          ! DZDzdzLJLjljNJNjnjA a I i O o U u U u U u U u U u e A a \
    A a AEaeG g G g K k O o O o     j DZDzdzG g HVW N n A a AEaeO o \
    A a A a E e E e I i I i O o O o R r R r U u U u S s T t Y y H h \
    N d OUouZ z A a E e O o O o O o O o Y y l n t   dbqpA C c L T s \
    z     B U V E e J j Q q R r Y y \

    """

/// U+1E00 to U+1EFF.
let latinAdditionalBaseLetters: StaticString = """
    A a B b B b B b C c D d D d D d D d D d E e E e E e E e E e F f \
    G g H h H h H h H h H h I i I i K k K k K k L l L l L l L l M m \
    M m M m N n N n N n N n O o O o O o O o P p P p R r R r R r R r \
    S s S s S s S s S s T t T t T t T t U u U u U u U u U u V v V v \
    W w W w W w W w W w X x X x Y y Z z Z z Z z h t w y a s s s SS  \
    A a A a A a A a A a A a A a A a A a A a A a A a E e E e E e E e \
    E e E e E e E e I i I i O o O o O o O o O o O o O o O o O o O o \
    O o O o U u U u U u U u U u U u U u Y y Y y Y y Y y             \

    """
